package config_test

import (
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"
)

const goodClock = `[[digest]]
name = "daily"
at = "0 9 * * mon-fri"
channel = "file:digests.txt"
timezone = "Europe/Lisbon"
late = "3h"
sections = ["changes", "reviews"]
lines = 12
environments = ["prod"]
hosts = ["shop.example.com"]
[[job]]
name = "nightly"
at = "30 3 * * *"
channel = "file:jobs.txt"
timezone = "Europe/Madrid"
late = "4h"
run = "restart shop prod"
`

func init() {
	before := strings.Count(good[:strings.Index(good, goodClock)], "\n")
	shape := `takes letters, digits, dots, dashes and underscores, a letter or digit first, at most 64`
	for _, r := range []struct {
		row
		line int
	}{
		{row{"digest.name", missing, ``, `a digest needs a name`}, 1},
		{row{"digest.name", malformed, `= "every day"`, `the name of a digest ` + shape + `; it is "every day"`}, 2},
		{row{"digest.at", missing, ``, `digest "daily" does not say when; say it: at = "0 9 * * mon-fri"`}, 1},
		{row{"digest.channel", missing, ``, `digest "daily" says nothing of where it is posted; name one: channel = "NETWORK:CHANNEL"`}, 1},
		{row{"digest.channel", malformed, `= "ops"`, `the channel "ops" is not a channel; write NETWORK:CHANNEL, such as "file:audit.txt"`}, 4},
		{row{"digest.channel", malformed, `= "file:*"`, `digest "daily" cannot be posted to "file:*"; name one that is always there`}, 4},
		{row{"digest.channel", malformed, `= "terminal:4f2a"`, `digest "daily" cannot be posted to "terminal:4f2a"; name one that is always there`}, 4},
		{row{"digest.channel", dangling, `= "slack:C1"`, `the channel "slack:C1" is on the network "slack", which has no [chat.slack]; there are file, terminal`}, 4},
		{row{"digest.timezone", malformed, `= "Local"`, `digest.timezone takes a zone such as "Europe/Berlin"; there is none called "Local"`}, 5},
		{row{"digest.timezone", dangling, `= "Lisbon"`, `digest.timezone takes a zone such as "Europe/Berlin"; there is none called "Lisbon"`}, 5},
		{row{"digest.late", malformed, `= "never"`, `digest.late takes a time from 2m to 168h, such as "2h"; it is "never"`}, 6},
		{row{"digest.late", malformed, `= "1m"`, `digest.late takes a time from 2m to 168h, such as "2h"; it is "1m"`}, 6},
		{row{"digest.sections", malformed, `= ["changes", "changes"]`, `digest "daily" has the section "changes" twice; leave one`}, 7},
		{row{"digest.lines", malformed, `= 2`, `digest.lines takes 3 to 60 lines; it is 2`}, 8},
		{row{"digest.lines", malformed, `= 1000`, `digest.lines takes 3 to 60 lines; it is 1000`}, 8},
		{row{"digest.environments", dangling, `= ["prd"]`, `there is no environment "prd"; did you mean "prod"?`}, 9},
		{row{"digest.hosts", malformed, `= ["https://shop.example.com"]`, `digest.hosts takes HOST or HOST:PORT, such as "shop.example.com"; it is "https://shop.example.com"`}, 10},
		{row{"digest.hosts", malformed, `= ["shop.example.com:http"]`, `digest.hosts takes HOST or HOST:PORT, such as "shop.example.com"; it is "shop.example.com:http"`}, 10},
		{row{"job.name", missing, ``, `a job needs a name`}, 11},
		{row{"job.name", malformed, `= "-n"`, `the name of a job ` + shape + `; it is "-n"`}, 12},
		{row{"job.at", missing, ``, `job "nightly" does not say when; say it: at = "0 9 * * mon-fri"`}, 11},
		{row{"job.channel", missing, ``, `job "nightly" says nothing of where it is posted; name one: channel = "NETWORK:CHANNEL"`}, 11},
		{row{"job.channel", malformed, `= "jobs"`, `the channel "jobs" is not a channel; write NETWORK:CHANNEL, such as "file:audit.txt"`}, 14},
		{row{"job.channel", dangling, `= "fil:x"`, `the channel "fil:x" is on the network "fil", which has no [chat.fil]; did you mean "file"?`}, 14},
		{row{"job.timezone", malformed, `= "Local"`, `job.timezone takes a zone such as "Europe/Berlin"; there is none called "Local"`}, 15},
		{row{"job.timezone", dangling, `= "Mars/Base"`, `job.timezone takes a zone such as "Europe/Berlin"; there is none called "Mars/Base"`}, 15},
		{row{"job.late", malformed, `= "200h"`, `job.late takes a time from 2m to 168h, such as "2h"; it is "200h"`}, 16},
		{row{"job.run", missing, ``, `job "nightly" does not say what to run; write the line, such as run = "restart shop staging"`}, 11},
		{row{"job.run", malformed, `= "halt\nresume"`, `run of job "nightly" has several lines; a command is one line`}, 17},
	} {
		r.want = fmt.Sprintf("config.toml:%d: %s", before+r.line, r.want)
		rows = append(rows, r.row)
	}
	maps.Copy(none, map[string]map[string]string{
		"digest.name":         {dangling: "it declares"},
		"digest.at":           {malformed: "the schedule's", dangling: "no name"},
		"digest.timezone":     {missing: "the bot's"},
		"digest.late":         {missing: "until it is due again", dangling: "no name"},
		"digest.sections":     {missing: "those of every day", dangling: "the digest's"},
		"digest.lines":        {missing: "10", dangling: "no name"},
		"digest.environments": {missing: "the last ones", malformed: "names alone"},
		"digest.hosts":        {missing: "none", dangling: "the network's, when it is asked"},
		"job.name":            {dangling: "it declares"},
		"job.at":              {malformed: "the schedule's", dangling: "no name"},
		"job.timezone":        {missing: "the bot's"},
		"job.late":            {missing: "until it is due again", dangling: "no name"},
		"job.run":             {dangling: "the grammar's"},
	})
}

func TestClock(t *testing.T) {
	c, err := load(t, edited(t, "hosts = [\"shop.example.com\"]", "hosts = [\"shop.example.com\", \"127.0.0.1:8443\", \"::1\", \"[::1]:8443\"]"))
	if err != nil {
		t.Fatal(err)
	}
	d, j := c.Digests[0], c.Jobs[0]
	if d.Name != "daily" || d.Zone.String() != "Europe/Lisbon" || d.Late != 3*time.Hour || d.Lines != 12 || len(d.SectionsWhere) != 2 {
		t.Errorf("the digest is %+v", d)
	}
	if want := []string{"shop.example.com:443", "127.0.0.1:8443", "[::1]:443", "[::1]:8443"}; !reflect.DeepEqual(d.Hosts, want) {
		t.Errorf("its hosts are %q, want %q", d.Hosts, want)
	}
	if j.Run != "restart shop prod" || j.Zone.String() != "Europe/Madrid" || j.At != "30 3 * * *" {
		t.Errorf("the job is %+v", j)
	}
	least, err := load(t, edited(t, "timezone = \"Europe/Lisbon\"\nlate = \"3h\"\nsections = [\"changes\", \"reviews\"]\nlines = 12\nenvironments = [\"prod\"]\nhosts = [\"shop.example.com\"]\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	if d := least.Digests[0]; d.Zone.String() != "Europe/Berlin" || d.Late != 0 || d.Sections != nil || d.Lines != 10 {
		t.Errorf("by default the digest is %+v", d)
	}
	for _, twice := range []string{"[[digest]]\nname = \"daily\"\nat = \"@daily\"\nchannel = \"file:x\"\n", "[[job]]\nname = \"nightly\"\nat = \"@daily\"\nchannel = \"file:x\"\nrun = \"halt\"\n"} {
		if _, err := load(t, good+twice); err == nil || !strings.Contains(err.Error(), "give each a name of its own") {
			t.Errorf("twice the same name: %v", err)
		}
	}
}
