package app

import (
	"crypto/tls"
	"time"
)

// DefaultProfile is release 3.5.3, build 170111-665d284.
func DefaultProfile() Profile {
	return Profile{
		Release: "3.5.3", Build: "170111-665d284", BuildSuffix: "-SPWF01S",
		Manufacturer: "ST", Model: "SPWF01SA1", UpdateModel: "SPWF01SA",
		Copyright:     "Copyright (c) 2012-2016 STMicroelectronics, Inc. All rights Reserved.",
		Serial:        "3214D99999",
		ExternalFlash: true,
		Console: Console{
			MaxLine: 512, Input: 64 << 10, NumberedErrors: true, NumberedFormat: "%d:%s",
			EscapeGap: 20 * time.Millisecond, HighestIndication: 78,
		},
		Boot: Boot{
			Noise: []byte{0xff, 0x00}, ResetText: "Reset", ShowStart: true,
			UpdateStart: "Programming...", UpdateDone: "F/W update complete!",
		},
		TLS: TLS{
			MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS12,
			CipherSuites: []uint16{
				tls.TLS_RSA_WITH_AES_256_CBC_SHA,
				tls.TLS_RSA_WITH_AES_128_CBC_SHA,
				tls.TLS_RSA_WITH_AES_128_CBC_SHA256,
			},
			Slots: true, SlotLimit: 2048, DomainLimit: 64, MaxRSABits: 2048,
			Names: NamesEither, Wildcards: true, ChecksKeyPair: true, MaxSockets: 1,
			ContentFormat: "#  %s = %d",
		},
		Sockets: Sockets{Max: 8, Buffer: 8 << 10, CumulativePending: true,
			FailedWriteEats: true, Clients: 1},
		HTTP: HTTP{Trailer: true, UserAgent: "SPWF01S", MaxResponse: 1 << 20,
			StageSize: 1 << 20},
		Texts:  defaultTexts(),
		Timing: defaultTiming(),
		Limits: Limits{Resolve: 5 * time.Second, Connect: 10 * time.Second,
			Handshake: 15 * time.Second, Write: 10 * time.Second},
	}
}

func defaultTexts() Texts {
	return Texts{
		CALoad:         "Unable to load CA certificate",
		PendingData:    "Pending data",
		IllegalID:      "Illegal Socket ID",
		TooManySockets: "Too many sockets",
		SocketError:    "Socket error",
		NotEnoughData:  "Not enough data in buffer",
		NoDataMode:     "Data mode not available",
		NoCommandMode:  "Command mode not available",
		Resolve:        "Failed to resolve name",
		HTTPHost:       "host not found",
		Starting:       "Wait for Hardware Starting",
		UpdateConnect:  "connect() failed, aborting",
		FileNotFound:   "File not found",
		ServerUp:       "Socket Server already up and running",
		ServerNotRun:   "Socket Server not running",
		InvalidImage:   "Invalid F/W image(%08X)",
		ModelMismatch:  "F/W update model '%s' not matching local '%s'",
		TLSConnect:     "Unable to connect",
		CertLoad:       "Unable to load client certificate",
		KeyLoad:        "Unable to load private key",
		KeyPair:        "Unable to load private key",
		Unknown:        "Command not found",
		Missing:        "Missing argument(s)",
		TooMany:        "Too many argument(s)",
		Invalid:        "Invalid argument(s)",
		NoKey:          "Unrecognized key",
		NoVariable:     "Variable not found",
		LowMemory:      "Low Memory",
		ScanBusy:       "Scan in Progress",
		ScanFailed:     "Scan Failed",
		RadioOff:       "Radio not running",
		NoIP:           "IP not ready",
		OpenSocket:     "Failed to open socket",
		WriteFailed:    "Write failed",
		RequestFailed:  "Request failed",
		FileExists:     "Unable to open file",
		NoFlash:        "Command not found",
		Ping:           "#PING: sendto %s",
		SSID:           "SSID = '%s'",
		Time:           "#  current_time = %d",
	}
}

func defaultTiming() Timing {
	return Timing{
		PowerOn: 300 * time.Millisecond, Console: 200 * time.Millisecond,
		Radio: 500 * time.Millisecond, Crunch: time.Second,
		Scan: 800 * time.Millisecond, Join: 200 * time.Millisecond,
		Handshake: 300 * time.Millisecond, DHCP: 500 * time.Millisecond,
		Rescan: 5 * time.Second, Connect: 20 * time.Millisecond,
		TLS: 400 * time.Millisecond, Factory: 50 * time.Millisecond,
		Save: 100 * time.Millisecond, SlotWrite: 50 * time.Millisecond,
		Resolve: 10 * time.Millisecond, UpdateBlock: 300 * time.Millisecond,
		Programming: 10 * time.Second,
	}
}
