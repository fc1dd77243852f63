package netmap

// An ExitPreset is a name that stands for rules of an [ExitPolicy].
type ExitPreset struct {
	Name  string
	About string // what it is for, in a phrase
	Rules []string
}

// ExitPresets returns the presets, the one that opens least first.
func ExitPresets() []ExitPreset {
	return []ExitPreset{
		{"none", "no exit: the node passes cells on only", nil},
		{"web", "web pages alone", []string{"accept *:80,443"}},
		{"reduced", "what people use, without mail delivery, file sharing, and what is mostly scanned", reduced()},
		{"public", "everything but mail delivery", []string{"reject *:25", "accept *:*"}},
	}
}

// reduced follows Tor's ReducedExitPolicy, which most operators there use:
// services that people use, and not those of which abuse is reported. Of its
// ports those are left out to which programs guess passwords (telnet, remote
// desktops) and those of services that are gone. Those of UDP are added.
func reduced() []string {
	return []string{
		"accept *:20-22,43,53,79-81,88,110,123,143,194,220", // FTP, SSH, whois, DNS, web, Kerberos, POP, NTP, IMAP, IRC
		"accept *:389,443,464,465,554,563,587,636,706",      // LDAP, web, Kerberos, mail submission, RTSP, news, SILC
		"accept *:749,853,873,989-995,1194",                 // Kerberos, DNS over TLS, rsync, FTP, news, IMAP and POP over TLS, OpenVPN
		"accept *:1293,1500,3690,4321,5222,5223,5228",       // IPsec, Subversion, rwhois, XMPP, Android
		"accept *:3478,3479,5349,19302-19309,51820",         // STUN and TURN, calls, WireGuard
		"accept *:6660-6669,6679,6697,64738",                // IRC, Mumble
		"accept *:8000,8008,8080,8082,8087,8088,8443,8888",  // web
		"accept *:8232,8233,8332,8333,18080,18081,50002",    // Zcash, Bitcoin, Monero, Electrum
		"accept *:9418,11371",                               // git, keys of OpenPGP
	}
}

// expand returns the rules that the text stands for.
func expand(text string) []string {
	for _, p := range ExitPresets() {
		if p.Name == text {
			return p.Rules
		}
	}
	return []string{text}
}
