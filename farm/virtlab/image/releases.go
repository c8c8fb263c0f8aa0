package image

import (
	"crypto/tls"

	"hil-runner/farm/virtlab/app"
)

// Model is the chip of all built-in images.
const Model = "SPWF01SA"

// Releases are the built-in images, oldest first. The builds of 3.2, 3.4 and
// 3.5.3 are those that modules of these releases report. 3.0.0 is a label: it
// was the number of the host software X-CUBE-WIFI1 of 10 March 2017, never of
// a module, so its build is invented and says so.
func Releases() []Profile {
	return []Profile{release32(), release34(), release353(), release300()}
}

// Find gives the built-in image with a release's label.
func Find(release string) (Profile, bool) {
	for _, p := range Releases() {
		if p.App.Release == release {
			return p, true
		}
	}
	return Profile{}, false
}

func profile(level string, a app.Profile) Profile {
	return Profile{Level: level, Chip: Model, Virtual: true, App: a}
}

// release32 knows PEMDATA only (AN4683 describes TLSCERT from 2015 on). Its
// highest TLS version is an assumption.
func release32() Profile {
	a := app.DefaultProfile()
	a.Release, a.Build, a.BuildSuffix = "3.2", "140805-3f58d6b", "-RELEASE"
	a.VersionTail = " "
	a.Copyright = "Copyright (c) 2012-2014 STMicroelectronics, Inc. All rights Reserved."
	a.Console.NumberedErrors = false
	a.Console.MaxLine = 127
	a.Console.HighestIndication = 72
	a.TLS.Slots = false
	a.TLS.MaxVersion = tls.VersionTLS10
	a.TLS.CipherSuites = []uint16{tls.TLS_RSA_WITH_AES_256_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA}
	return profile("3.2", a)
}

func release34() Profile {
	a := app.DefaultProfile()
	a.Release, a.Build = "3.4", "150410-c2e37a3"
	a.Copyright = "Copyright (c) 2012-2014 STMicroelectronics, Inc. All rights Reserved."
	a.Console.NumberedErrors = false
	a.Console.HighestIndication = 73
	return profile("3.4", a)
}

func release353() Profile {
	return profile("3.5.3", app.DefaultProfile())
}

func release300() Profile {
	a := app.DefaultProfile()
	a.Release, a.Build = "3.0.0", "170310-facade0"
	p := profile("3.5.3", a)
	p.Invented = true
	return p
}
