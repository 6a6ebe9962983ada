package page

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Notification is what a monitor sends about one group of alerts.
type Notification struct {
	Source   string // "alertmanager"
	Key      string // of the group: what has the same is one matter
	Labels   map[string]string
	Notes    map[string]string // annotations that all of them have
	Link     string
	Alerts   []Alert
	Complete bool // Alerts are all that the group has
}

// Bounds of what is taken in.
const (
	maxLabels = 50
	maxLabel  = 500 // bytes
	// stormWithin is how close together pages count as one storm, and stormPages
	// how many there may be before the rest become one page.
	stormWithin = 5 * time.Minute
	stormPages  = 8
	maxGroups   = 500 // of one page
	// keepAlerts is how long alerts are kept; it is longer than any monitor
	// repeats what it sent.
	keepAlerts = 30 * 24 * time.Hour
)

// Take stores what a monitor sent; nil says that it is durable. What was stored
// before changes nothing. An alert pages nobody at once: only one that still fires
// after the notify delay does.
func (k *Keeper) Take(ctx context.Context, n Notification) error {
	s, err := k.settings()
	if err != nil {
		return err
	}
	n = n.bounded()
	n.Alerts = slices.Clone(n.Alerts)
	if s.Monitor.Watchdog != "" {
		var always []Alert
		n.Alerts = slices.DeleteFunc(n.Alerts, func(a Alert) bool {
			is := a.Labels["alertname"] == s.Monitor.Watchdog
			if is && !a.Resolved {
				always = append(always, a)
			}
			return is
		})
		if len(always) > 0 {
			if err := k.alive(ctx, s, n.Source); err != nil {
				return err
			}
		}
		if len(n.Alerts) == 0 {
			return nil
		}
	}
	changed := false
	err = k.Store.Update(ctx, func(tx store.Tx) (err error) {
		changed, err = k.take(tx, s, n)
		return err
	})
	if err == nil && changed {
		k.Posted()
		k.Wake()
	}
	return err
}

// bounded cuts what is longer than anything that tells people something.
func (n Notification) bounded() Notification {
	n.Labels, n.Notes = few(n.Labels), few(n.Notes)
	for i, a := range n.Alerts {
		n.Alerts[i].Labels, n.Alerts[i].Annotations, n.Alerts[i].Link = few(a.Labels), few(a.Annotations), link(a.Link)
	}
	n.Link = link(n.Link)
	return n
}

func few(m map[string]string) map[string]string {
	out := make(map[string]string, min(len(m), maxLabels))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if len(out) == maxLabels {
			break
		}
		out[strings.ToValidUTF8(cut(name, maxLabel), "?")] = strings.ToValidUTF8(cut(m[name], maxLabel), "?")
	}
	return out
}

// link keeps an address that a card may lead to.
func link(s string) string {
	if len(s) > 2000 || !strings.HasPrefix(s, "https://") && !strings.HasPrefix(s, "http://") || strings.ContainsAny(s, " \t\r\n<>\"") {
		return ""
	}
	return s
}

// take stores a notification within tx; changed says that there is something to
// do or to tell.
func (k *Keeper) take(tx store.Tx, s *Settings, n Notification) (changed bool, err error) {
	now := k.Clock.Now()
	sum := sha256.Sum256([]byte(n.Source + "\n" + n.Key))
	g := &group{ID: hex.EncodeToString(sum[:12])}
	rev, found, err := get(tx, kindGroup, g.ID, g)
	if err != nil {
		return false, err
	}
	g.rev = rev
	firing, fresh, ended := 0, 0, 0
	for _, a := range n.Alerts {
		a.Group, a.Received = g.ID, now
		if a.StartsAt.IsZero() {
			a.StartsAt = now
		}
		if a.Fingerprint == "" {
			a.Fingerprint = fingerprint(a.Labels)
		}
		var old Alert
		rev, known, err := get(tx, kindAlert, a.id(), &old)
		switch {
		case err != nil:
			return false, err
		case known && old.Resolved: // that is over, however late the news of its beginning comes
			continue
		case !a.Resolved:
			firing++
			if known {
				continue
			}
			fresh++
		case known:
			ended++
		}
		if _, err := put(tx, kindAlert, a.id(), rev, a.StartsAt.Add(keepAlerts), a); err != nil {
			return false, err
		}
	}
	if !n.Complete {
		firing = max(firing, g.Firing+fresh-ended)
	}
	if !found {
		if firing == 0 {
			return false, nil
		}
		k.describe(s, g, n)
		g.First = now
	}
	g.Firing, g.Alerts = firing, g.Alerts+fresh
	if g.Page != 0 {
		return true, k.grow(tx, s, g, fresh)
	}
	if firing == 0 { // it went away before anybody was told
		return false, k.calm(tx, g)
	}
	if g.Timer == "" {
		g.Timer = timer(now.Add(s.NotifyDelay), "group/"+g.ID)
		if err := set(tx, kindDue, g.Timer, now.Add(s.NotifyDelay), struct{}{}); err != nil {
			return false, err
		}
	}
	_, err = put(tx, kindGroup, g.ID, g.rev, time.Time{}, g)
	return true, err
}

// describe fills in what a group is about, from what all of its alerts have.
func (k *Keeper) describe(s *Settings, g *group, n Notification) {
	labels, notes := maps.Clone(n.Labels), maps.Clone(n.Notes)
	if labels == nil {
		labels = map[string]string{}
	}
	if notes == nil {
		notes = map[string]string{}
	}
	if len(n.Alerts) > 0 { // of one alert, everything is common
		for name, v := range n.Alerts[0].Annotations {
			if notes[name] == "" {
				notes[name] = v
			}
		}
		for _, name := range []string{"alertname", "severity"} {
			if labels[name] == "" {
				labels[name] = n.Alerts[0].Labels[name]
			}
		}
	}
	g.Key, g.Source, g.Labels, g.Link = cut(n.Key, maxLabel), n.Source, labels, n.Link
	for _, a := range n.Alerts { // the first that a service knows says which it is
		all := maps.Clone(a.Labels)
		maps.Copy(all, n.Labels)
		if one, ok := s.match(all); ok {
			g.Target = one.Target
			break
		}
	}
	if one, ok := s.match(labels); ok && g.Target == (bot.Target{}) {
		g.Target = one.Target
	}
	g.Title = labels["alertname"]
	if g.Title == "" {
		g.Title = "an alert of " + n.Source
	}
	g.Summary = notes["summary"]
	if g.Summary == "" {
		g.Summary = notes["description"]
	}
	g.Severity, g.Runbook = labels["severity"], link(notes["runbook_url"])
	if g.Link == "" && len(n.Alerts) > 0 {
		g.Link = n.Alerts[0].Link
	}
}

func fingerprint(labels map[string]string) string {
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		fmt.Fprintf(sum, "%q=%q\n", name, labels[name])
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// calm notes that a group resolved itself in time, and forgets it.
func (k *Keeper) calm(tx store.Tx, g *group) error {
	if g.Timer != "" {
		if err := tx.DeleteDocument(kindDue, g.Timer); err != nil {
			return err
		}
	}
	now := k.Clock.Now()
	if err := set(tx, kindCalm, timer(now, g.ID), now.Add(keepAlerts), map[string]string{"title": g.Title, "target": g.Target.String()}); err != nil {
		return err
	}
	return tx.DeleteDocument(kindGroup, g.ID)
}

// grow brings what a group has now to its page.
func (k *Keeper) grow(tx store.Tx, s *Settings, g *group, fresh int) error {
	p, err := readPage(tx, g.Page)
	if err != nil {
		return err
	}
	if !p.Open() { // somebody resolved it, and it fires: that is another matter
		if g.Firing == 0 {
			return tx.DeleteDocument(kindGroup, g.ID)
		}
		g.Page, g.First, g.Alerts = 0, k.Clock.Now(), g.Firing
		g.Timer = timer(k.Clock.Now().Add(s.NotifyDelay), "group/"+g.ID)
		if err := set(tx, kindDue, g.Timer, k.Clock.Now().Add(s.NotifyDelay), struct{}{}); err != nil {
			return err
		}
		_, err := put(tx, kindGroup, g.ID, g.rev, time.Time{}, g)
		return err
	}
	p.Groups = maps.Clone(p.Groups)
	was := p.Groups[g.ID]
	p.Groups[g.ID], p.Alerts = g.Firing, p.Alerts+fresh
	if g.Firing == 0 {
		delete(p.Groups, g.ID)
		if err := tx.DeleteDocument(kindGroup, g.ID); err != nil {
			return err
		}
		if len(p.Groups) == 0 {
			return k.end(tx, s, p, "", "every alert is resolved", 0)
		}
	} else if _, err := put(tx, kindGroup, g.ID, g.rev, time.Time{}, g); err != nil {
		return err
	}
	now := k.Clock.Now()
	switch {
	case was == g.Firing && fresh == 0:
		return nil
	case fresh > 0 && now.Sub(p.Grown) >= time.Minute: // told once a minute, however many come
		p.Grown = now
		return k.write(tx, s, p, Event{Kind: Joined, Text: fmt.Sprintf("%s, %d alerts fire now", g.Title, p.Firing())}, nil)
	}
	return k.write(tx, s, p, Event{}, nil)
}

// page makes a page of a group whose notify delay is over, or has it join one.
func (k *Keeper) page(tx store.Tx, s *Settings, id string) error {
	g := &group{}
	rev, found, err := get(tx, kindGroup, id, g)
	if err != nil || !found || g.Page != 0 {
		return err
	}
	g.rev, g.Timer = rev, ""
	now := k.Clock.Now()
	open, err := openPages(tx)
	if err != nil {
		return err
	}
	var join, storm *Page
	recent := 0
	for _, p := range open {
		young := now.Sub(p.Opened) < stormWithin
		if young && !p.Storm {
			recent++
		}
		if young && g.Target != (bot.Target{}) && p.Target == g.Target {
			join = p
		}
		if p.Storm && now.Sub(p.Opened) < time.Hour && len(p.Groups) < maxGroups {
			storm = p
		}
	}
	if join == nil && recent >= stormPages {
		join = storm
	}
	if join != nil {
		g.Page = join.Number
		join.Groups = maps.Clone(join.Groups)
		join.Groups[g.ID], join.Alerts = g.Firing, join.Alerts+g.Alerts
		if _, err := put(tx, kindGroup, g.ID, g.rev, time.Time{}, g); err != nil {
			return err
		}
		about := g.Title
		if join.Storm && g.Target != (bot.Target{}) {
			about += " of " + g.Target.String()
		}
		return k.write(tx, s, join, Event{Kind: Joined, Text: fmt.Sprintf("%s joins; %d alerts fire now", about, join.Firing())}, nil)
	}
	p := &Page{Title: g.Title, Summary: g.Summary, Severity: g.Severity, Target: g.Target, Source: g.Source, Link: g.Link, Runbook: g.Runbook,
		Groups: map[string]int{g.ID: g.Firing}, Alerts: g.Alerts, Grown: now}
	if recent >= stormPages {
		p.Storm, p.Target, p.Title = true, bot.Target{}, "a storm of alerts"
		p.Summary = fmt.Sprintf("more than %d pages within %s; what else comes is gathered here, first: %s %s", stormPages, bot.Span(stormWithin), g.Title, g.Target)
	}
	if err := k.create(tx, s, p, Event{}); err != nil {
		return err
	}
	g.Page = p.Number
	_, err = put(tx, kindGroup, g.ID, g.rev, time.Time{}, g)
	return err
}

// watchdog is what is known of an alert that always fires.
type watchdog struct {
	Heard time.Time `json:"heard"`
	Timer string    `json:"timer"`
	Page  int64     `json:"page,omitempty"`
}

// alive notes that the monitor can be heard.
func (k *Keeper) alive(ctx context.Context, s *Settings, source string) error {
	return k.Store.Update(ctx, func(tx store.Tx) error {
		w, err := k.rearm(tx, s, source)
		if err != nil {
			return err
		}
		if w.Page != 0 {
			p, err := readPage(tx, w.Page)
			if err != nil {
				return err
			}
			if p.Open() {
				if err := k.end(tx, s, p, "", source+" is heard again", 0); err != nil {
					return err
				}
			}
		}
		w.Page = 0
		return set(tx, kindWatchdog, source, time.Time{}, w)
	})
}

// rearm sets within tx when the monitor's silence is an alarm.
func (k *Keeper) rearm(tx store.Tx, s *Settings, source string) (w watchdog, err error) {
	if _, _, err := get(tx, kindWatchdog, source, &w); err != nil {
		return w, err
	}
	if w.Timer != "" {
		if err := tx.DeleteDocument(kindDue, w.Timer); err != nil {
			return w, err
		}
	}
	now := k.Clock.Now()
	w.Heard, w.Timer = now, timer(now.Add(s.Monitor.Within), "watchdog/"+source)
	return w, set(tx, kindDue, w.Timer, now.Add(s.Monitor.Within), struct{}{})
}

// silent opens a page for a monitor that was not heard in time.
func (k *Keeper) silent(tx store.Tx, s *Settings, source, timer string) error {
	var w watchdog
	if _, _, err := get(tx, kindWatchdog, source, &w); err != nil || w.Timer != timer || s.Monitor.Watchdog == "" {
		return err
	}
	p := &Page{Title: source + " is silent", Source: "watchdog", Severity: "critical",
		Summary: fmt.Sprintf("the alert %s, which always fires, was last heard at %s; nothing that goes wrong may be told of", s.Monitor.Watchdog, k.Zone().Second(w.Heard))}
	if err := k.create(tx, s, p, Event{}); err != nil {
		return err
	}
	w.Page, w.Timer = p.Number, ""
	return set(tx, kindWatchdog, source, time.Time{}, w)
}
