package page

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/nearest"
	"quarterdeck/bot/notify"
	"quarterdeck/bot/oncall"
)

// Settings is the [pager] table, checked, and what it needs of the rest of the
// configuration. It never changes.
type Settings struct {
	Channel     bot.ChannelID // where pages are posted
	Wider       bot.ChannelID // where a page goes that nobody answers; Channel unless said
	Updates     bot.ChannelID // who follows from afar reads page update here; "" for nowhere
	Escalation  string        // the policy of pages whose service names none
	NotifyDelay time.Duration // an alert that resolves itself within it never pages
	AckTimeout  time.Duration // after which an acknowledged page is triggered again
	Monitor     Monitor
	Schedules   map[string]oncall.Schedule
	Policies    map[string]Policy
	Ways        map[string]notify.Way
	Services    []Service // in the order of the file
	Persons     map[string]Person
}

// Monitor is the [pager.alertmanager] table: what sends alerts.
type Monitor struct {
	Bearer   bot.Secret // either this, or User and Password, or neither: this machine alone
	User     string
	Password bot.Secret
	Watchdog string        // the name of an alert that always fires; "" for none
	Within   time.Duration // how long it may be silent
}

// Policy is who is told of a page, in order.
type Policy struct {
	Name   string
	Levels []Level
	Repeat int // how often all levels are gone through again
}

// Level is who is told at once, and for how long their answer is waited for.
type Level struct {
	Schedule string
	Persons  []string
	Channel  bot.ChannelID
	Wait     time.Duration
	Ways     []string // beside chat, which may be what is down
}

// Service says which alerts are about a target.
type Service struct {
	Target     bot.Target
	Where      string
	Match      map[string]string // labels, every one
	Runbook    string
	Escalation string
	Back       bool // it can be rolled back
}

// Person is how somebody is reached.
type Person struct {
	Accounts []bot.AccountID
	Email    string
	Disabled bool
}

// Basis is what Parse checks the table against.
type Basis struct {
	Raw      bot.Raw
	At       func(key ...string) string // the place of a key of the configuration
	Location *time.Location
	Persons  map[string]Person
	Services []Service
	Networks func(name string) bool // is configured
	Secrets  *bot.Secrets
	// Exposed says that the listener which takes alerts can be reached from other
	// machines.
	Exposed bool
}

// Fault is one thing that is wrong, and where.
type Fault struct {
	Where string
	Err   error
}

// Table is the [pager] table as it is written; config.example.toml says what its
// keys are for.
type Table struct {
	Channel      string                   `toml:"channel"`
	Wider        string                   `toml:"wider"`
	Updates      string                   `toml:"updates"`
	Escalation   string                   `toml:"escalation"`
	NotifyDelay  string                   `toml:"notify_delay"`
	AckTimeout   string                   `toml:"ack_timeout"`
	Alertmanager MonitorTable             `toml:"alertmanager"`
	Schedule     map[string]ScheduleTable `toml:"schedule"`
	Policy       map[string]PolicyTable   `toml:"policy"`
	Way          map[string]notify.Table  `toml:"way"`
}

// MonitorTable is [pager.alertmanager] as it is written.
type MonitorTable struct {
	Bearer         string `toml:"bearer"`
	User           string `toml:"user"`
	Password       string `toml:"password"`
	Watchdog       string `toml:"watchdog"`
	WatchdogWithin string `toml:"watchdog_within"`
}

// ScheduleTable is one [pager.schedule.NAME] as it is written.
type ScheduleTable struct {
	Timezone string `toml:"timezone"`
	Rotation []struct {
		Persons []string `toml:"persons"`
		Start   string   `toml:"start"`
		Turn    string   `toml:"turn"`
		Hours   []string `toml:"hours"`
	} `toml:"rotation"`
}

// PolicyTable is one [pager.policy.NAME] as it is written.
type PolicyTable struct {
	Repeat *int `toml:"repeat"`
	Level  []struct {
		Schedule string   `toml:"schedule"`
		Persons  []string `toml:"persons"`
		Channel  string   `toml:"channel"`
		Wait     string   `toml:"wait"`
		Ways     []string `toml:"ways"`
	} `toml:"level"`
}

// parser gathers faults.
type parser struct {
	Basis
	in       Table
	out      *Settings
	faults   []Fault
	warnings []string
}

func (p *parser) fail(key []string, format string, args ...any) {
	p.faults = append(p.faults, Fault{p.At(append([]string{"pager"}, key...)...), bot.Errorf(bot.Invalid, format, args...)})
}

// Parse checks the table offline. What it gives may be used when there is no fault;
// warnings tell of gaps in which nobody is on call.
func Parse(b Basis) (s *Settings, warnings []string, faults []Fault) {
	p := &parser{Basis: b, out: &Settings{Schedules: map[string]oncall.Schedule{}, Policies: map[string]Policy{}, Ways: map[string]notify.Way{}, Services: b.Services, Persons: b.Persons}}
	if err := b.Raw.Decode(&p.in); err != nil {
		return nil, nil, []Fault{{b.Raw.Where(), err}}
	}
	p.channels()
	p.out.NotifyDelay = p.duration("30s", 0, time.Hour, p.in.NotifyDelay, "notify_delay")
	p.out.AckTimeout = p.duration("30m", time.Second, 24*time.Hour, p.in.AckTimeout, "ack_timeout")
	p.monitor()
	for name := range p.in.Schedule {
		p.schedule(name)
	}
	for name, t := range p.in.Way {
		way, err := notify.Open(name, t, b.Raw.Dir(), b.Secrets)
		if err != nil {
			p.fail([]string{"way", name}, "%s", bot.Sentence(err, name))
		}
		p.out.Ways[name] = way
	}
	for name := range p.in.Policy {
		p.policy(name)
	}
	p.escalation(p.in.Escalation, []string{"escalation"})
	p.out.Escalation = p.in.Escalation
	for i, s := range p.out.Services {
		if s.Escalation == "" {
			p.out.Services[i].Escalation = p.in.Escalation
		} else if _, ok := p.out.Policies[s.Escalation]; !ok {
			p.faults = append(p.faults, Fault{s.Where, bot.Errorf(bot.Invalid, "alerts of %s are escalated by %q, which is no [pager.policy.%s]%s", s.Target, s.Escalation, s.Escalation, near(s.Escalation, keys(p.out.Policies)))})
		}
	}
	slices.Sort(p.warnings)
	return p.out, p.warnings, p.faults
}

func (p *parser) channels() {
	for _, c := range []struct {
		key, value string
		dst        *bot.ChannelID
	}{{"channel", p.in.Channel, &p.out.Channel}, {"wider", p.in.Wider, &p.out.Wider}, {"updates", p.in.Updates, &p.out.Updates}} {
		if c.value != "" {
			p.channel([]string{c.key}, c.value)
		}
		*c.dst = bot.ChannelID(c.value)
	}
	if p.in.Channel == "" {
		p.fail(nil, `[pager] needs channel = "NETWORK:CHANNEL": where pages are posted`)
	}
	if p.out.Wider == "" {
		p.out.Wider = p.out.Channel
	}
}

func (p *parser) channel(key []string, c string) {
	id := bot.ChannelID(c)
	switch {
	case id.Network() == "" || id.Local() == "" || id.Local() == "*":
		p.fail(key, `%q is not a channel; write NETWORK:CHANNEL, such as "slack:C0PAGES"`, c)
	case !p.Networks(id.Network()):
		p.fail(key, "the channel %q is on the network %q, which has no [chat.%s]", c, id.Network(), id.Network())
	}
}

func (p *parser) duration(standard string, least, most time.Duration, s string, key ...string) time.Duration {
	if s == "" {
		s = standard
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < least || d > most {
		p.fail(key, "%s takes a time from %s to %s, such as %q; it is %q", strings.Join(key, "."), bot.Span(least), bot.Span(most), standard, s)
	}
	return d
}

func (p *parser) monitor() {
	in, m := p.in.Alertmanager, &p.out.Monitor
	open := func(key, ref string) (s bot.Secret) {
		if ref == "" {
			return s
		}
		s, err := p.Secrets.Open(ref, p.Raw.Dir())
		if err != nil {
			p.fail([]string{"alertmanager", key}, "%s", bot.Sentence(err, key))
		}
		return s
	}
	m.Bearer, m.User, m.Password = open("bearer", in.Bearer), in.User, open("password", in.Password)
	switch {
	case (in.User == "") != (in.Password == ""):
		p.fail([]string{"alertmanager"}, "user and password stand together; give both or take one away")
	case in.Bearer != "" && in.User != "":
		p.fail([]string{"alertmanager", "bearer"}, "give bearer, or user and password, not both")
	case in.Bearer == "" && in.User == "" && p.Exposed:
		p.fail([]string{"alertmanager"}, `listen.internal can be reached from other machines, and nothing says who may send alerts; add bearer = "env:NAME" to [pager.alertmanager]`)
	}
	m.Watchdog = in.Watchdog
	m.Within = p.duration("10m", time.Second, 24*time.Hour, in.WatchdogWithin, "alertmanager", "watchdog_within")
	if in.WatchdogWithin != "" && in.Watchdog == "" {
		p.fail([]string{"alertmanager", "watchdog_within"}, `watchdog_within needs the name of the alert that always fires: watchdog = "Watchdog"`)
	}
}

func (p *parser) schedule(name string) {
	in, key := p.in.Schedule[name], []string{"schedule", name}
	s := oncall.Schedule{Name: name, Zone: p.Location}
	if s.Zone == nil {
		s.Zone = time.UTC
	}
	if in.Timezone != "" {
		zone, err := time.LoadLocation(in.Timezone)
		if err != nil || in.Timezone == "Local" {
			p.fail(append(key, "timezone"), `timezone takes a zone such as "Europe/Berlin"; there is none called %q`, in.Timezone)
		} else {
			s.Zone = zone
		}
	}
	before := len(p.faults)
	for i, r := range in.Rotation {
		at := append(slices.Clip(key), "rotation")
		out := oncall.Rotation{Persons: r.Persons, Days: 7}
		for _, person := range r.Persons {
			p.person(at, person)
		}
		var err error
		if out.Start, err = oncall.ParseStart(r.Start); err != nil {
			p.fail(at, `rotation %d of schedule %q needs its first handover: start = "2026-11-02 09:00"`, i+1, name)
		}
		if r.Turn != "" {
			if out.Days, err = oncall.ParseTurn(r.Turn); err != nil {
				p.fail(at, "%s", bot.Sentence(err, name))
			}
		}
		for _, h := range r.Hours {
			w, err := oncall.ParseWindow(h)
			if err != nil {
				p.fail(at, "%s", bot.Sentence(err, name))
			}
			out.Hours = append(out.Hours, w...)
		}
		s.Rotations = append(s.Rotations, out)
	}
	for _, fault := range s.Check() {
		p.fail(key, "%s", fault)
	}
	if len(p.faults) > before {
		return
	}
	if gaps := s.Gaps(); len(gaps) > 0 {
		p.warnings = append(p.warnings, fmt.Sprintf("%s: nobody is on call by schedule %q on %s (%s); a page goes on to the next level then", p.At("pager", "schedule", name), name, strings.Join(gaps, ", "), s.Zone))
	}
	p.out.Schedules[name] = s
}

func (p *parser) person(key []string, name string) {
	person, ok := p.Persons[name]
	switch {
	case !ok:
		p.fail(key, "there is no person %q%s", name, near(name, keys(p.Persons)))
	case person.Disabled:
		p.fail(key, "%s is disabled, and would be paged in vain; put somebody else there", name)
	}
}

func (p *parser) policy(name string) {
	in, key := p.in.Policy[name], []string{"policy", name}
	out := Policy{Name: name, Repeat: 1}
	if in.Repeat != nil {
		out.Repeat = *in.Repeat
	}
	if out.Repeat < 0 || out.Repeat > 20 {
		p.fail(append(key, "repeat"), "repeat takes 0 to 20; it is %d", out.Repeat)
	}
	if len(in.Level) == 0 {
		p.fail(key, "policy %q has no level, so that nobody is ever told; add [[pager.policy.%s.level]]", name, name)
	}
	for i, l := range in.Level {
		at := append(slices.Clip(key), "level")
		level := Level{Schedule: l.Schedule, Persons: l.Persons, Channel: bot.ChannelID(l.Channel), Ways: l.Ways}
		if l.Schedule == "" && len(l.Persons) == 0 && l.Channel == "" {
			p.fail(at, "level %d of policy %q tells nobody; give it a schedule, persons or a channel", i+1, name)
		}
		if _, ok := p.in.Schedule[l.Schedule]; l.Schedule != "" && !ok {
			p.fail(at, "level %d of policy %q names the schedule %q, which is no [pager.schedule.%s]%s", i+1, name, l.Schedule, l.Schedule, near(l.Schedule, keys(p.in.Schedule)))
		}
		for _, person := range l.Persons {
			p.person(at, person)
		}
		if l.Channel != "" {
			p.channel(at, l.Channel)
		}
		for _, way := range l.Ways {
			if _, ok := p.in.Way[way]; !ok {
				p.fail(at, "level %d of policy %q names the way %q, which is no [pager.way.%s]%s", i+1, name, way, way, near(way, keys(p.in.Way)))
			}
		}
		level.Wait = p.duration("5m", time.Second, 24*time.Hour, l.Wait, "policy", name, "level")
		out.Levels = append(out.Levels, level)
	}
	p.out.Policies[name] = out
}

func (p *parser) escalation(name string, key []string) {
	if name == "" {
		p.fail(nil, `[pager] needs escalation = "NAME": the [pager.policy.NAME] by which people are told`)
		return
	}
	if _, ok := p.in.Policy[name]; !ok {
		p.fail(key, "escalation names the policy %q, which is no [pager.policy.%s]%s", name, name, near(name, keys(p.in.Policy)))
	}
}

func keys[V any](m map[string]V) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

func near(word string, known []string) string {
	if n := nearest.Of(word, known); n != "" {
		return fmt.Sprintf("; did you mean %q?", n)
	}
	if len(known) == 0 {
		return ""
	}
	return "; there are " + strings.Join(known, ", ")
}

// match gives the service that labels are about: the one that asks for the most
// of them, and of those the first.
func (s *Settings) match(labels map[string]string) (best Service, found bool) {
	for _, one := range s.Services {
		fits := len(one.Match) > 0
		for name, value := range one.Match {
			fits = fits && labels[name] == value
		}
		if fits && (!found || len(one.Match) > len(best.Match)) {
			best, found = one, true
		}
	}
	return best, found
}

// service gives what is configured of a target.
func (s *Settings) service(t bot.Target) (one Service, found bool) {
	for _, one := range s.Services {
		if one.Target == t {
			return one, true
		}
	}
	return Service{}, false
}
