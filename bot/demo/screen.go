package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	_ "modernc.org/sqlite" // tamper opens the database behind the bot's back

	"quarterdeck/adapters/terminal"
	"quarterdeck/bot/app"
	"quarterdeck/bot/config"
	"quarterdeck/bot/demo/platform"
)

// screen is what the demo itself says and does; everything else is the bot's.
type screen struct {
	data       string
	kept       bool
	supervisor *platform.Supervisor
	bot        *botProcess
}

// awaitTraffic waits a moment for the first measurements, so that the first
// screen has them.
func (s *screen) awaitTraffic(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2500*time.Millisecond)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		measured := true
		for _, st := range s.supervisor.Status() {
			measured = measured && st.Traffic.RequestsPerSecond != nil
		}
		if measured {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// first prints the first screen; it fits 80 columns by 24 lines.
func (s *screen) first(w io.Writer, took time.Duration) {
	ends := "stops all of it; data in "
	if !s.kept {
		ends = "stops all of it and deletes "
	}
	fmt.Fprintf(w, "Ready in %.1f s. Ctrl-D %s%s\n\n", took.Seconds(), ends, s.data)
	s.targets(w)
	fmt.Fprint(w, `Releases: v2 good; v3 starts fine, then fails 1 order in 3; v4 never healthy

You are dev (developer): prod wants your confirm and one sre.
/as sre makes you that, who is on call. Empty Enter types the next step.
An incident in 3 minutes:
`)
	for i, st := range story {
		fmt.Fprintf(w, "%d %s> %-27s %s\n", i+1, st.as, st.line, st.shows)
	}
	fmt.Fprint(w, `Then attack it:
  crash      kill -9 the bot mid-deploy; it returns and finishes, once
  tamper     edit one audit row behind its back, then type: audit verify
More: restore-test shop/prod | flag create new-checkout | digest daily | help
`)
	fmt.Fprintln(w, "Every action is also posted to audit-channel.txt there; --data DIR keeps it all")
}

// targets prints what is live, with the platform's own measurements.
func (s *screen) targets(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "TARGET\tLIVE\tUP\tREQ/S\tERRORS\tOPEN IN A BROWSER")
	for _, st := range s.supervisor.Status() {
		rate, failed := "no data", "no data"
		if st.Traffic.RequestsPerSecond != nil {
			rate = fmt.Sprintf("%5.0f", *st.Traffic.RequestsPerSecond)
		}
		if st.Traffic.ErrorRatio != nil {
			failed = fmt.Sprintf("%.1f %%", *st.Traffic.ErrorRatio*100)
		}
		live := st.Version
		if len(st.Mixed) > 1 {
			live = strings.Join(st.Mixed, "+")
		}
		fmt.Fprintf(t, "shop/%s\t%s\t%d/%d\t%s\t%s\t%s\n", st.Env, live, st.Healthy, st.Desired, rate, failed, st.URL)
	}
	t.Flush()
}

// local are the demo's own commands; they never reach the bot.
func (s *screen) local() map[string]terminal.Local {
	return map[string]terminal.Local{
		"targets": func(_ context.Context, _ []string, out io.Writer) error {
			s.targets(out)
			return nil
		},
		"crash":        s.crash,
		"tamper":       s.tamper,
		"audit verify": s.verify,
	}
}

// crash kills the bot in the middle of a deployment: the one under way, or
// else the next one.
func (s *screen) crash(ctx context.Context, _ []string, out io.Writer) error {
	if !s.deploying() {
		fmt.Fprintln(out, "armed: the bot is killed with -9 in the middle of the next deployment; now type one, such as: deploy shop v2 staging")
		go s.crashNext(ctx, out)
		return nil
	}
	return s.crashNow(out)
}

// armedFor is how long crash waits for a deployment.
const armedFor = 5 * time.Minute

func (s *screen) crashNext(ctx context.Context, out io.Writer) {
	ctx, cancel := context.WithTimeout(ctx, armedFor)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !s.deploying() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	if err := s.crashNow(out); err != nil {
		fmt.Fprintln(out, "crash:", err)
	}
}

func (s *screen) crashNow(out io.Writer) error {
	pid, err := s.bot.kill()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "killed the bot with -9 (pid %d) in the middle of a deployment; it is being started again\n", pid)
	return nil
}

func (s *screen) deploying() bool {
	for _, st := range s.supervisor.Status() {
		if st.Deploying != "" {
			return true
		}
	}
	return false
}

// tamper edits one record in the middle of the log, as somebody with the
// database file would.
func (s *screen) tamper(ctx context.Context, _ []string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.data, "quarterdeck.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer db.Close()
	var seq int64
	var body string
	row := db.QueryRowContext(ctx, `SELECT seq, CAST(body AS TEXT) FROM records WHERE person <> '' ORDER BY seq DESC LIMIT 1 OFFSET 1`)
	if err := row.Scan(&seq, &body); errors.Is(err, sql.ErrNoRows) {
		return errors.New("the log holds nobody's action yet; do something first")
	} else if err != nil {
		return err
	}
	edited := strings.Replace(body, `"person":"`, `"person":"not-`, 1)
	if _, err := db.ExecContext(ctx, `UPDATE records SET body = ? WHERE seq = ?`, []byte(edited), seq); err != nil {
		return err
	}
	fmt.Fprintf(out, "edited record %d in the database: it names another person now; type: audit verify\n", seq)
	return nil
}

// verify runs the same check as quarterdeck audit verify.
func (s *screen) verify(ctx context.Context, _ []string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	t := tables()
	c, err := config.Load(filepath.Join(s.data, "config.toml"), t.Known())
	if err != nil {
		return err
	}
	report, err := app.Verify(ctx, c, t, nil, "")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, report.Summary())
	for _, p := range report.Problems {
		fmt.Fprintf(out, "  %s: %s\n", p.Kind, p.Say)
	}
	return nil
}
