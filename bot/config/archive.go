package config

import (
	"strconv"
	"strings"
	"time"
)

// The bounds of audit.retain: less than a month would take from the database
// what people still look for in chat.
const (
	leastRetain = 30
	mostRetain  = 3650
)

// archive checks how long the log stays in the database, and where it goes then.
func (l *loader) archive() {
	a, at := l.in.Audit, l.root.at("audit")
	if a.Archive != "" {
		l.out.Audit.Archive = l.path(a.Archive)
	}
	if a.Retain != "" {
		days, err := strconv.Atoi(strings.TrimSuffix(a.Retain, "d"))
		if err != nil || !strings.HasSuffix(a.Retain, "d") || days < leastRetain || days > mostRetain {
			l.failf(at.at("retain"), "it is \""+a.Retain+"\"", "audit.retain takes days from %dd to %dd, such as \"400d\"", leastRetain, mostRetain)
		} else {
			l.out.Audit.Retain = time.Duration(days) * 24 * time.Hour
		}
		if a.Archive == "" {
			l.failf(at.at("retain"), `add archive = "PATH"`, "audit.retain needs a folder to move old records to")
		}
	}
}
