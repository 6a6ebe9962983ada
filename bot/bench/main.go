// Command bench measures what the bot must be good at, as ratios against the
// raw bound of the same run, because absolute times drift on shared machines.
// It prints a table and writes bench.json into the working directory. It needs
// Go alone, and what it makes lies in a temporary folder that it removes.
//
//	go run ./bot/bench [-run REGEXP] [-quick] [-cpuprofile FILE]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"
)

const (
	// rounds is how often measurement and baseline alternate; the median counts.
	rounds = 9
	// slices is how many turns each of the two takes within a round, so that a
	// disk that slows down for a second slows down both.
	slices = 4
	// longest bounds a run. One takes two to three minutes.
	longest = 15 * time.Minute
)

// measurement is one group of figures.
type measurement struct {
	name string
	run  func(context.Context, *suite) error
}

func measurements() []measurement {
	return []measurement{
		{"decision", decision},
		{"appends", appends},
		{"commands", commandsAtWork},
		{"longlog", longLog},
		{"program", program},
	}
}

// suite is what the measurements share.
type suite struct {
	dir    string // holds everything they write
	quick  bool
	rounds int
	say    io.Writer // progress, and what cannot be measured here
	filled string    // the folder of the long log, once there is one

	figures []figure
}

// scale gives n, or a tenth of it when quick.
func (s *suite) scale(n int) int {
	if s.quick {
		return max(n/10, 64)
	}
	return n
}

func main() {
	only := flag.String("run", "", "only measurements whose name matches this `regexp`: "+strings.Join(names(measurements()), ", "))
	quick := flag.Bool("quick", false, "a tenth of the work, for a first look")
	profile := flag.String("cpuprofile", "", "write a CPU profile to this `file`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	if err := profiled(*profile, func() error { return bench(ctx, *only, *quick) }); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// profiled runs f and writes its CPU profile to path, unless that is "".
func profiled(path string, f func() error) error {
	if path == "" {
		return f()
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(out); err != nil {
		return errors.Join(err, out.Close())
	}
	err = f()
	pprof.StopCPUProfile()
	return errors.Join(err, out.Close())
}

// bench runs the measurements whose name matches only, all for "", prints the
// table to standard output and writes bench.json.
func bench(ctx context.Context, only string, quick bool) (err error) {
	chosen, err := choose(measurements(), only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "quarterdeck-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s := &suite{dir: dir, quick: quick, rounds: rounds, say: os.Stderr}
	for _, m := range chosen {
		fmt.Fprintln(s.say, "measuring", m.name, "...")
		if err := m.run(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	if err := printTable(os.Stdout, s.figures); err != nil {
		return err
	}
	raw, err := encode(s.figures)
	if err != nil {
		return err
	}
	return os.WriteFile("bench.json", raw, 0o644)
}

// choose gives the measurements whose name matches the regular expression.
func choose(all []measurement, only string) (chosen []measurement, err error) {
	match, err := regexp.Compile(only)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		if match.MatchString(m.name) {
			chosen = append(chosen, m)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no measurement matches %q; there are %s", only, strings.Join(names(all), ", "))
	}
	return chosen, nil
}

func names(all []measurement) (list []string) {
	for _, m := range all {
		list = append(list, m.name)
	}
	return list
}
