package app

// command is one AT command. run must end it with ok, fail or finish, at once
// or later.
type command struct {
	name  string // after AT, upper case
	usage string // for HELP
	min   int    // arguments
	max   int    // -1 is any number
	radio bool   // needs WIND 32
	run   func(a *App, g arguments)
}

// commands are what a profile understands (UM1695).
func commands(p Profile) []command {
	cs := []command{
		{"", " -- Null cmd, always returns OK", 0, 0, false, func(a *App, _ arguments) { a.ok() }},
		{"+S.HELP", " -- This text", 0, 0, false, (*App).help},
		{"&V", " -- Display current configuration settings", 0, 0, false, (*App).dumpSettings},
		{"&F", " -- Restore factory default settings", 0, 0, false, (*App).factorySettings},
		{"&W", " -- Save current settings", 0, 0, false, (*App).saveSettings},
		{"+CFUN", " =<0|1|2|3|4> -- Reset/Standby/Sleep", 1, 1, false, (*App).power},
		{"+S.GCFG", " =<key> -- Get config value for key", 1, 1, false, (*App).getVariable},
		{"+S.SCFG", " =<key>,<value> -- Set config value for key", 1, -1, false, (*App).setVariable},
		{"+S.SSIDTXT", " =<ssid> -- Set/Get SSID", 0, -1, false, (*App).ssidText},
		{"+S.STS", " [=<var>] -- Report current status/statistics", 0, 1, false, (*App).status},
		{"+S.PEERS", " [=<peer_number>[,<var>]] -- Dump contents of the peer table", 0, 2, false, (*App).peers},
		{"+S.RMPEER", " =<peer_number> -- Remove peer", 1, 1, true, (*App).removePeer},
		{"+S.PING", " =<hostname> -- Send a ping to a host", 1, 1, true, (*App).ping},
		{"+S.WIFI", " =<0|1> -- Disable/Enable WiFi", 1, 1, true, (*App).wifi},
		{"+S.ROAM", " -- Trigger a WiFi Roam", 0, 0, true, (*App).roam},
		{"+S.SCAN", " [=<a|p>,<s|m>] -- Perform a scan", 0, 2, true, (*App).scan},
		{"+S.SETTIME", " [=<seconds>] -- Set/Get current time", 0, 1, false, (*App).setTime},
		{"+S.MFGTEST", " =<0|1> -- Manufacturing tests", 0, 1, false, func(a *App, _ arguments) { a.ok() }},
		{"+S.NVW", " =<key> -- Unlock NV variables", 1, 1, false, (*App).unlock},
	}
	cs = append(cs, socketCommands()...)
	cs = append(cs, slotCommands(p)...)
	cs = append(cs, webCommands(p)...)
	cs = append(cs, fileCommands()...)
	return append(cs, pinCommands()...)
}

func socketCommands() []command {
	return []command{
		{"+S.SOCKON", " =<hostname>,<port>,<t|u|s>[,ind] -- Open a network socket", 3, 4, true, (*App).openSocket},
		{"+S.SOCKQ", " =<id> -- Query socket for pending data", 1, 1, false, (*App).querySocket},
		{"+S.SOCKC", " =<id> -- Close socket", 1, 1, false, (*App).closeSocket},
		{"+S.SOCKW", " =<id>,<len> -- Write data to socket", 2, 2, false, (*App).writeSocket},
		{"+S.SOCKR", " =<id>,<len> -- Read data from socket", 2, 2, false, (*App).readSocket},
		{"+S.SOCKD", " =<0|port>[,<t|u>][,ind] -- Disable/Enable socket server", 1, 3, true, (*App).socketServer},
		{"+S.", " -- Switch to data mode", 0, 0, false, (*App).enterData},
	}
}

func slotCommands(p Profile) []command {
	if !p.TLS.Slots {
		return []command{{"+S.PEMDATA", " =<ca|cert|key>,<len> -- Set PEM data", 2, 2, false, (*App).pemData}}
	}
	return []command{
		{"+S.TLSCERT", " =<f_ca|f_cert|f_key|ca|cert|key|f_content>,<len> -- Set TLS certificate", 2, 2, false, (*App).tlsCert},
		{"+S.TLSCERT2", " =clean,<slot|f_domain|all> -- Erase TLS certificates", 2, 2, false, (*App).tlsClean},
		{"+S.TLSDOMAIN", " =<f_domain|domain>,<name> -- Set TLS server domain", 2, 2, false, (*App).tlsDomain},
	}
}

func webCommands(p Profile) []command {
	cs := []command{
		{"+S.HTTPGET", " =<hostname>,<path&queryopts>[,port] -- Http GET of the given path", 2, 3, true, (*App).httpGet},
		{"+S.HTTPPOST", " =<hostname>,<path&queryopts>,<formcontent>[,port] -- Http POST to the given path", 3, -1, true, (*App).httpPost},
		{"+S.HTTPREQ", " =<hostname>,<len>[,port] -- Custom Http request", 2, 3, true, (*App).httpRequest},
		{"+S.HTTPD", " =<0|1> -- Disable/Enable web server", 1, 1, false, (*App).webServer},
	}
	if p.ExternalFlash {
		cs = append(cs,
			command{"+S.FWUPDATE", " =<hostname>,<path&queryopts>[,port] -- Upgrade the onboard firmware", 2, 3, true, (*App).firmwareUpdate},
			command{"+S.HTTPDFSUPDATE", " =<hostname>,<path&queryopts>[,port] -- Download a new httpd filesystem", 2, 3, true, (*App).filesUpdate},
			command{"+S.HTTPDFSERASE", " -- Erase the external httpd filesystem", 0, 0, false, (*App).filesErase},
			command{"+S.HTTPDFSWRITE", " =<addr>,<len> -- Write the external httpd filesystem", 2, 2, false, (*App).filesWrite})
	}
	return cs
}

func fileCommands() []command {
	return []command{
		{"+S.FSC", " =<fname>,<maxlen> -- Create a file", 2, 2, false, (*App).fileCreate},
		{"+S.FSA", " =<fname>,<datalen> -- Append to an existing file", 2, 2, false, (*App).fileAppend},
		{"+S.FSD", " =<fname> -- Delete an existing file", 1, 1, false, (*App).fileDelete},
		{"+S.FSR", " =<old>,<new> -- Rename an existing file", 2, 2, false, (*App).fileRename},
		{"+S.FSL", " -- List existing filename(s)", 0, 0, false, (*App).fileList},
		{"+S.FSP", " =<fname>[,<offset>,<length>] -- Print the contents of an existing file", 1, 3, false, (*App).filePrint},
	}
}

func pinCommands() []command {
	return []command{
		{"+S.GPIOC", " =<num>,<in|out>[,<0|R|F|B>] -- Configure specified GPIO", 2, 3, false, (*App).pinConfigure},
		{"+S.GPIOR", " =<num> -- Read specified GPIO", 1, 1, false, (*App).pinRead},
		{"+S.GPIOW", " =<num>,<val> -- Write specified GPIO", 2, 2, false, (*App).pinWrite},
		{"+S.ADC", " =<num> -- Read ADC value on specified GPIO", 1, 2, false, (*App).analogRead},
		{"+S.DAC", " =<value> -- Set DAC value", 1, 1, false, (*App).analogWrite},
		{"+S.PWM", " =<frequency>[,<duty>] -- Set PWM", 1, 2, false, (*App).pulseWidth},
	}
}

// help is HELP.
func (a *App) help(arguments) {
	for _, c := range a.console.commands {
		a.info("# AT%s%s", c.name, c.usage)
	}
	a.ok()
}

// power is CFUN. There is no OK: the answer is WIND 2.
func (a *App) power(g arguments) {
	if _, ok := g.number(0, 0, 4); !ok {
		a.fail(a.p.Texts.Invalid)
		return
	}
	if !a.p.Bugs.SilentReset {
		a.wind(windReset, a.p.Boot.ResetText)
	}
	reason := ResetSoft
	if _, err := ParseStage(a.host.Area(AreaStage).Load()); err == nil {
		reason = ResetUpdate
	}
	a.restart(reason)
}

// setTime is SETTIME.
func (a *App) setTime(g arguments) {
	if !g.given {
		a.info(a.p.Texts.Time, a.unix())
		a.ok()
		return
	}
	n, ok := g.number(0, 0, 1<<32-1)
	if !ok {
		a.fail(a.p.Texts.Invalid)
		return
	}
	a.clock = clock{set: true, at: a.host.Now(), now: int64(n)}
	a.ok()
}
