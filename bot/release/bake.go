package release

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/sourcegraph/conc/panics"

	"quarterdeck/bot"
	"quarterdeck/bot/chart"
	"quarterdeck/bot/provider"
)

// KindBake is the workflow that watches over what was deployed.
const KindBake = "bake@1"

const (
	// confirming is at how many looks one after the other a metric must be over its
	// threshold, or silent at the end, before anything follows: one scrape may be odd.
	confirming = 2
	// undecided is how many looks are made after the time is over for a metric that
	// changes its mind at each; then the last one counts.
	undecided = 10
	// bakeLook bounds one look at all metrics.
	bakeLook = 15 * time.Second
)

// Baking is the body of the Specs that a Bake executes: a deployment that
// succeeded, and the guard it came with.
type Baking struct {
	Deployment provider.Deployment `json:"deployment"` // with its Guard
	Kind       string              `json:"kind"`       // of the Spec that the deployment was
}

// baking gives the watch that follows the deployment d.
func baking(s bot.Spec, d provider.Deployment) ([]bot.Sequel, error) {
	t, g := d.Target, d.Guard
	spec, err := bot.NewSpec(KindBake, s.Verb, s.Target, s.Resources, Baking{Deployment: d, Kind: s.Kind})
	if err != nil {
		return nil, err
	}
	return []bot.Sequel{{Line: fmt.Sprintf("metrics %s %s", t.Service, t.Environment), Plan: bot.Plan{
		Spec: spec, Slot: t.String() + " bake", Watches: true,
		Summary: fmt.Sprintf("watch %s %s in %s for %s", t.Service, d.To.Version, t.Environment, bot.Span(g.Bake)),
		Preview: []bot.Field{{Name: "guard", Value: g.Words(d.From.Version)}},
		Undo:    fmt.Sprintf("rollback %s %s", t.Service, t.Environment),
	}}}, nil
}

// Bake watches metrics after a deployment, looks at them again and again through
// the Judge until its time is over, and ends as failed when one is over its
// threshold or could not be measured. It acts on nothing, so that a look that a
// crash cut off is just made again. It implements bot.Workflow, bot.Timed and
// bot.Responder; safe for concurrent use.
type Bake struct {
	ledger *Ledger
	judge  provider.Judge
	clock  bot.Clock
}

// NewBake makes a Bake.
func NewBake(l *Ledger, j provider.Judge, c bot.Clock) *Bake { return &Bake{l, j, c} }

var (
	_ bot.Workflow  = (*Bake)(nil)
	_ bot.Timed     = (*Bake)(nil)
	_ bot.Responder = (*Bake)(nil)
)

// verdict is what a bake ended with.
type verdict string

const (
	breached verdict = "breached"
	silent   verdict = "silent"
)

// bakeState is the state of a Bake's handle.
type bakeState struct {
	Baking
	Until   time.Time `json:"until,omitzero"` // zero before the first look
	Stop    bool      `json:"stop,omitempty"` // a person asked to stop
	Metrics []watched `json:"metrics"`
	Verdict verdict   `json:"verdict,omitempty"`
	Why     string    `json:"why,omitempty"` // of the verdict
}

// watched is how one metric was seen to stand.
type watched struct {
	provider.Judgement
	Over   int `json:"over,omitempty"`   // looks over its threshold since it was last within
	Unseen int `json:"unseen,omitempty"` // looks without a value since it was last within
}

// Kind implements bot.Workflow.
func (b *Bake) Kind() string { return KindBake }

// Timing implements bot.Timed. Nothing has to become visible after a look.
func (b *Bake) Timing(bot.Target) bot.Timing { return bot.Timing{Call: bakeLook + 5*time.Second} }

// Check implements bot.Workflow: that what is watched is live still is seen at
// each look.
func (b *Bake) Check(context.Context, bot.Spec, []bot.Fact) ([]bot.Obstacle, error) { return nil, nil }

func bakeBody(s bot.Spec) (Baking, error) {
	var body Baking
	if err := json.Unmarshal(s.Body, &body); err != nil || body.Deployment.Guard == nil {
		return body, bot.Errorf(bot.Internal, "the body of %s cannot be read: %v", s.Kind, err)
	}
	return body, nil
}

// Begin implements bot.Workflow.
func (b *Bake) Begin(s bot.Spec, t bot.Task) (bot.Handle, error) {
	body, err := bakeBody(s)
	if err != nil {
		return bot.Handle{}, err
	}
	st := bakeState{Baking: body}
	for _, m := range body.Deployment.Guard.Metrics {
		st.Metrics = append(st.Metrics, watched{Judgement: provider.Judgement{Metric: m}})
	}
	return st.pack(bot.Handle{Key: t.Key, Target: body.Deployment.Target})
}

func (st *bakeState) pack(h bot.Handle) (bot.Handle, error) {
	raw, err := json.Marshal(st)
	if err != nil {
		return h, &bot.Error{Op: "release.bake", Kind: bot.Internal, Err: err}
	}
	h.State = raw
	return h, nil
}

func unpackBake(h bot.Handle) (*bakeState, error) {
	var st bakeState
	if err := json.Unmarshal(h.State, &st); err != nil || st.Deployment.Guard == nil {
		return nil, bot.Errorf(bot.Internal, "the state of a watch cannot be read: %v", err)
	}
	return &st, nil
}

// Cancel implements bot.Workflow.
func (b *Bake) Cancel(_ context.Context, h bot.Handle) (bot.Handle, error) {
	st, err := unpackBake(h)
	if err != nil {
		return h, err
	}
	st.Stop = true
	return st.pack(h)
}

// Advance makes one look at all metrics.
func (b *Bake) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	st, err := unpackBake(h)
	if err != nil {
		return h, bot.Progress{}, err
	}
	now, d := b.clock.Now(), st.Deployment
	if st.Until.IsZero() {
		st.Until = now.Add(d.Guard.Bake)
	}
	if st.Stop {
		return st.end(h, bot.OpCancelled, fmt.Sprintf("%s is not watched any more, and stays", d.To.Version))
	}
	over, err := b.overtaken(ctx, d)
	if err != nil {
		return h, bot.Progress{}, &bot.Error{Op: "release.bake", Kind: bot.Unavailable, Say: "the record of releases could not be read", Err: err}
	}
	if over != "" {
		return st.end(h, bot.OpCancelled, over)
	}
	b.look(ctx, st)
	if ctx.Err() != nil { // cut off from outside: that says nothing of the metrics
		return h, bot.Progress{}, &bot.Error{Op: "release.bake", Kind: bot.Timeout, Say: "the look was cut off", Err: ctx.Err()}
	}
	late := !now.Before(st.Until)
	enough := confirming
	if now.Sub(st.Until) >= undecided*d.Guard.Every {
		enough = 1
	}
	if v, why := st.judged(late, enough); v != "" {
		st.Verdict, st.Why = v, why
		return st.end(h, bot.OpFailed, why)
	}
	if late && st.calm() {
		return st.end(h, bot.OpSucceeded, fmt.Sprintf("%s: within bounds for %s", st.names(), bot.Span(d.Guard.Bake)))
	}
	return st.on(h, now)
}

// end gives what the watch ends with, with how every metric stood last.
func (st *bakeState) end(h bot.Handle, state bot.OpState, text string) (bot.Handle, bot.Progress, error) {
	next, err := st.pack(h)
	return next, bot.Progress{State: state, Text: text, Parts: st.parts(), Link: st.link()}, err
}

// on gives the progress of a watch that goes on.
func (st *bakeState) on(h bot.Handle, now time.Time) (bot.Handle, bot.Progress, error) {
	g := st.Deployment.Guard
	past := int(100 - 100*st.Until.Sub(now)/g.Bake)
	past = max(0, min(99, past))
	next := g.Every
	if left := st.Until.Sub(now); left > 0 && left < next {
		next = left
	}
	text := fmt.Sprintf("watched until %s", bot.Moment(st.Until))
	if doubts := st.doubts(); doubts != "" {
		text += "; " + doubts + ", it is looked at once more"
	}
	handle, err := st.pack(h)
	return handle, bot.Progress{State: bot.OpBaking, Percent: &past, Text: text, Parts: st.parts(), Link: st.link(), Next: next}, err
}

// overtaken says what took the place of the deployment since, "" for nothing. It
// is read from our own record, which has what others brought there as well.
func (b *Bake) overtaken(ctx context.Context, d provider.Deployment) (string, error) {
	entries, err := b.ledger.History(ctx, d.Target, 1)
	if err != nil || len(entries) == 0 {
		return "", err
	}
	e := entries[0]
	switch {
	case e.Artefact.ID == d.To.ID:
		return "", nil
	case e.Artefact.ID == "":
		return fmt.Sprintf("%s is not watched any more: #%d changed what is live in %s", d.To.Version, e.Run, d.Target), nil
	}
	return fmt.Sprintf("%s is not watched any more: %s is live in %s now", d.To.Version, e.Artefact.Version, d.Target), nil
}

// look judges all metrics side by side.
func (b *Bake) look(ctx context.Context, st *bakeState) {
	for i, j := range Judge(ctx, b.judge, st.Deployment.Target, st.Deployment.Guard.Metrics, bakeLook) {
		m := &st.Metrics[i]
		m.Judgement = j
		switch j.Stand {
		case provider.Within:
			m.Over, m.Unseen = 0, 0
		case provider.Breached:
			m.Over, m.Unseen = m.Over+1, 0
		default:
			m.Unseen++
		}
	}
}

// Judge holds several metrics of a target against their thresholds, side by side
// and for no longer than within; one that does not answer in time, panics or is
// not known is Unread. The results are in the order of the names.
func Judge(ctx context.Context, j provider.Judge, t bot.Target, metrics []string, within time.Duration) []provider.Judgement {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	out := make([]provider.Judgement, len(metrics))
	var all conc.WaitGroup
	for i, name := range metrics {
		all.Go(func() {
			err := error(nil)
			if caught := panics.Try(func() { out[i], err = j.Judge(ctx, t, name) }); caught != nil {
				err = caught.AsError()
			}
			if err == nil && slices.Contains([]provider.Stand{provider.Within, provider.Breached, provider.NoData, provider.Unread}, out[i].Stand) {
				out[i].Metric = name
				return
			}
			if err == nil {
				err = bot.Errorf(bot.Internal, "its source gave no stand")
			}
			out[i] = provider.Judgement{Metric: name, Stand: provider.Unread, Why: bot.Sentence(err, "the metric")}
		})
	}
	all.Wait()
	return out
}

// judged gives the verdict, "" for none yet. late says that the time is over, and
// enough how many looks one after the other it takes.
func (st *bakeState) judged(late bool, enough int) (verdict, string) {
	var over, unseen []string
	for _, m := range st.Metrics {
		switch {
		case m.Over >= enough:
			over = append(over, m.says())
		case late && m.Unseen >= enough:
			unseen = append(unseen, m.says())
		}
	}
	switch {
	case len(over) > 0:
		return breached, strings.Join(over, "; ")
	case len(unseen) > 0:
		return silent, strings.Join(unseen, "; ") + fmt.Sprintf("; so nobody can say whether %s is good", st.Deployment.To.Version)
	}
	return "", ""
}

// calm reports whether every metric was within its bounds when last seen, which
// was at the last look.
func (st *bakeState) calm() bool {
	return !slices.ContainsFunc(st.Metrics, func(m watched) bool { return m.Stand != provider.Within })
}

// doubts says which metrics are over their thresholds at one look so far.
func (st *bakeState) doubts() string {
	var list []string
	for _, m := range st.Metrics {
		if m.Stand == provider.Breached {
			list = append(list, m.says())
		}
	}
	return strings.Join(list, "; ")
}

func (st *bakeState) names() string { return strings.Join(st.Deployment.Guard.Metrics, ", ") }

func (st *bakeState) link() string {
	for _, m := range st.Metrics {
		if m.Link != "" && (m.Stand == provider.Breached || len(st.Metrics) == 1) {
			return m.Link
		}
	}
	return ""
}

func (st *bakeState) parts() []bot.ProgressPart {
	var list []bot.ProgressPart
	for _, m := range st.Metrics {
		if m.Stand != "" {
			list = append(list, bot.ProgressPart{Name: m.Metric, Text: Stands(m.Judgement)})
		}
	}
	return list
}

// says is a sentence on a metric that is not as it must be.
func (m watched) says() string {
	if m.Stand == provider.Breached {
		return fmt.Sprintf("%s is %s, and must be %s", m.Metric, chart.Value(m.Value, m.Unit), m.Threshold)
	}
	return m.Metric + " could not be measured: " + m.silence()
}

func (m watched) silence() string {
	if m.Why != "" {
		return m.Why
	}
	return string(m.Stand)
}

// Stands says how a metric stands, for people: "0.3 %, at most 2 %".
func Stands(j provider.Judgement) string {
	switch j.Stand {
	case provider.Within, provider.Breached:
		s := chart.Value(j.Value, j.Unit) + ", " + j.Threshold
		if j.Stand == provider.Breached {
			s += ": over it"
		}
		return s
	}
	return strings.TrimSuffix(string(j.Stand)+": "+j.Why, ": ")
}

// Responses implements bot.Responder: the way back, where the guard says that it
// is taken at once. It goes to what was live before the deployment, and only
// while what was deployed is what is live.
func (b *Bake) Responses(r bot.Run) ([]bot.Sequel, error) {
	if r.Plan.Spec.Kind != KindBake {
		return nil, nil
	}
	st, err := unpackBake(r.Handle)
	if err != nil {
		return nil, err
	}
	g, d := st.Deployment.Guard, st.Deployment
	if !(st.Verdict == breached && g.OnBreach == provider.GoBack || st.Verdict == silent && g.OnSilence == provider.GoBack) || d.From.ID == "" || d.From.Mixed() {
		return nil, nil
	}
	t := d.Target
	back := provider.Deployment{Action: provider.Rollback, Target: t, From: d.To, To: d.From, Why: fmt.Sprintf("the guard of #%d: %s", r.Parent, st.Why)}
	spec, err := bot.NewSpec("rollback"+strings.TrimPrefix(st.Kind, "deploy"), "rollback", t, r.Plan.Spec.Resources, back)
	if err != nil {
		return nil, err
	}
	return []bot.Sequel{{Line: fmt.Sprintf("rollback %s %s %s", t.Service, t.Environment, d.From.Version), Verb: "rollback", Permission: bot.MayRollback, Plan: bot.Plan{
		Spec: spec, Slot: Slot(t), Guarded: true, Returning: true,
		Preconditions: []bot.Fact{{Name: FactLive, Want: d.To.ID, Text: d.To.Version + " is live"}},
		Summary:       fmt.Sprintf("roll back %s in %s to %s", t.Service, t.Environment, d.From.Version),
		Preview: []bot.Field{{Name: "now", Value: d.To.Label()}, {Name: "new", Value: d.From.Label()}, {Name: "why", Value: back.Why},
			{Name: "not undone", Value: "database migrations, secrets and other configuration"}, {Name: "marked bad", Value: d.To.Label()}},
		Undo: fmt.Sprintf("deploy %s %s %s --override \"why\"", t.Service, d.To.Version, t.Environment),
	}}}, nil
}
