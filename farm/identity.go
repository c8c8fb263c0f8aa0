package farm

import (
	"os"
	"os/user"
	"strconv"
	"strings"
)

// Owner names whoever runs this process as user@host. It comes from the
// process's uid and the host's name, never from the environment, so that it
// stays the same under cron, systemd and sudo and cannot be claimed.
func Owner() string {
	uid := strconv.Itoa(os.Getuid())
	name := "uid" + uid
	if u, err := user.LookupId(uid); err == nil && u.Username != "" {
		name = u.Username
	}
	return plainName(name) + "@" + Host()
}

// Host is the name of this host, "localhost" when it has none.
func Host() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "localhost"
	}
	return plainName(host)
}

// plainName keeps what is safe in a table, a file name and a header.
func plainName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			return r
		}
		return '_'
	}, s)
	return s[:min(len(s), 64)]
}
