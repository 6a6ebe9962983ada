package metrics

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"

	"quarterdeck/bot"
	"quarterdeck/bot/chart"
	"quarterdeck/bot/panel"
	"quarterdeck/bot/provider"
)

// looked bounds how many runs and records are searched for what to mark.
const looked = 500

// picture draws one panel.
func (n Needs) picture(t bot.Target, drawn string, list []shown, over provider.Span, earlier time.Duration, marks []chart.Marker) (*bot.Image, error) {
	s := chart.Scene{Title: drawn + " of " + t.String(), Subtitle: "last " + span(over.To.Sub(over.From)), From: over.From, To: over.To, Zone: n.Zone, Markers: marks}
	if earlier > 0 {
		s.Subtitle += ", with " + span(earlier) + " before"
	}
	var in []shown
	for _, m := range list {
		if m.Panel == drawn || m.Name == drawn {
			in = append(in, m)
		}
	}
	unread := 0
	for _, m := range in {
		s.Unit = m.Unit
		name := func(label string) string {
			switch {
			case len(in) == 1 && label != "":
				return label
			case len(in) == 1:
				return ""
			}
			return strings.TrimSpace(m.Name + " " + label)
		}
		add := func(a panel.Answer, ago time.Duration) {
			for _, x := range a.Measured.Series {
				s.Lines = append(s.Lines, chart.Line{Label: name(x.Label), Points: x.Points, Step: a.Measured.Step, Ago: ago})
			}
			s.Notes = append(s.Notes, a.Measured.Warnings...)
		}
		if m.now.Err != nil {
			unread++
			s.Empty = bot.Sentence(m.now.Err, "metrics")
			s.Notes = append(s.Notes, m.Name+" could not be read: "+s.Empty)
		}
		add(m.now, 0)
		if m.then != nil {
			add(*m.then, earlier)
		}
		limit := func(v *float64, floor bool) {
			if v == nil {
				return
			}
			words := panel.Words(provider.Limits{Above: v}, m.Unit)
			if floor {
				words = panel.Words(provider.Limits{Below: v}, m.Unit)
			}
			if len(in) > 1 {
				words = m.Name + " " + words
			}
			s.Thresholds = append(s.Thresholds, chart.Threshold{Value: *v, Label: words, Floor: floor})
		}
		limit(m.Limits.Above, false)
		limit(m.Limits.Below, true)
	}
	if unread < len(in) {
		s.Empty = ""
	}
	image, err := s.Picture(fileName(t, drawn))
	if err != nil {
		return nil, err
	}
	drawing, err := s.Text(textWidth)
	if err != nil {
		return nil, err
	}
	image.Lines = append([]string{s.Title + ", " + s.Subtitle}, drawing...)
	return image, image.Check()
}

// fileName gives "shop-prod-errors.png", of what a file's name may hold.
func fileName(t bot.Target, drawn string) string {
	plain := strings.Map(func(r rune) rune {
		if r <= unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return '-'
	}, fmt.Sprintf("%s-%s-%s", t.Service, t.Environment, drawn))
	return strings.TrimLeft(plain[:min(len(plain), 90)], "-") + ".png"
}

// markers gives what was done there in that time, by the bot and by others, as far
// as the asker may see its history.
func (n Needs) markers(ctx context.Context, call bot.Call, t bot.Target, over provider.Span) ([]chart.Marker, error) {
	if len(bot.Permitted(n.Policy, call, bot.MaySeeHistory, []bot.Target{t})) == 0 {
		return nil, nil
	}
	runs, err := n.Runs.Runs(ctx, bot.RunFilter{Limit: looked})
	if err != nil {
		return nil, err
	}
	var marks []chart.Marker
	for _, r := range runs {
		if (r.Ask.Target == t || flips(r, t.Environment)) && !r.Started.IsZero() && r.Alters() {
			marks = append(marks, chart.Marker{At: r.Started, Label: fmt.Sprintf("#%d %s", r.Number, label(r))})
		}
	}
	seen, err := n.Log.Records(ctx, bot.RecordFilter{Kind: bot.ObservedKind, Target: t.String(), Since: over.From, Limit: looked})
	if err != nil {
		return nil, err
	}
	for _, r := range seen {
		marks = append(marks, chart.Marker{At: r.At, Label: "outside: " + strings.TrimPrefix(r.Words("summary"), t.String()+": ")})
	}
	return marks, nil
}

// flips reports whether a run changes a flag of the environment, which is about no
// target and shows in all of them.
func flips(r bot.Run, environment string) bool {
	for _, x := range r.Ask.Resources {
		if x.Kind() == bot.KindFlag && strings.HasPrefix(x.Name(), environment+"/") {
			return true
		}
	}
	return false
}

// label says in a few words what a run did: the verb, and what it was about, without
// the target, which the picture names.
func label(r bot.Run) string {
	words := r.Call.Command
	for _, name := range []string{"version", "flag", "dimension", "amount", "count"} {
		if v := r.Call.Args[name]; v != "" {
			words += " " + v
		}
	}
	return words
}
