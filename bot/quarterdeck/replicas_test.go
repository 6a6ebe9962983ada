//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"quarterdeck/bot/audit"
)

// fleet is several replicas on one database, each behind a wire of its own.
type fleet struct {
	*stage
	builds   [2]string // the present one and the one that it takes the place of
	replicas []*replica
}

type replica struct {
	name string
	wire *wire
	near string // the database's address as this one has it
	up   atomic.Bool

	cmd   *exec.Cmd
	ended chan struct{}
}

// places are the environments that are deployed to side by side.
var places = []string{"e1", "e2", "e3", "e4", "e5", "e6"}

func newFleet(t *testing.T, n int) *fleet {
	t.Helper()
	if os.Getenv("QUARTERDECK_POSTGRES") == "" {
		if all() {
			t.Fatal("QUARTERDECK_POSTGRES names no server; run the tests under .ci/postgres")
		}
		t.Skip("needs a PostgreSQL server: .ci/postgres go test ./bot/quarterdeck -run Replicas")
	}
	s := newStage(t)
	s.useServer()
	f := &fleet{stage: s, builds: [2]string{s.path("quarterdeck"), s.bin}}
	if out, err := exec.Command("go", "build", "-trimpath", "-o", f.builds[0], ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	raw, err := os.ReadFile(s.path("config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	_, deploy, _ := strings.Cut(text, "[service.shop.staging]\n")
	deploy, _, _ = strings.Cut(deploy, "\n")
	for _, place := range places {
		s.write(filepath.Join("platform", place, "live"), "v1")
		text += fmt.Sprintf("[environment.%[1]s]\n[service.shop.%[1]s]\n%[2]s\n", place, deploy)
	}
	for i := range n {
		r := &replica{name: fmt.Sprintf("r%d", i)}
		r.wire, r.near = newWire(t, s.address)
		s.write(r.name+".toml", strings.Replace(text, `"q.sock"`, `"`+r.name+`.sock"`, 1))
		f.replicas = append(f.replicas, r)
	}
	s.write("config.toml", text)
	return f
}

// start starts a replica, of the present build or of the previous one, and waits
// until it is ready. A client that found nobody there may have the socket for a
// moment, being its own bot.
func (f *fleet) start(r *replica, build string) {
	f.t.Helper()
	path := f.path(r.name + ".log")
	ready := func() int {
		raw, _ := os.ReadFile(path) // may not be there yet
		return bytes.Count(raw, []byte("msg=ready"))
	}
	before, ended := ready(), make(chan struct{})
	launch := func() *exec.Cmd {
		log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			f.t.Fatal(err)
		}
		defer log.Close()
		cmd := exec.Command(build, "serve", "--config", f.path(r.name+".toml"))
		cmd.Env, cmd.Stderr = f.environ(databaseVar+"="+r.near), log
		if err := cmd.Start(); err != nil {
			f.t.Fatal(err)
		}
		over := make(chan struct{})
		ended = over
		go func() {
			_ = cmd.Wait()
			close(over)
		}()
		f.t.Cleanup(func() {
			_ = cmd.Process.Kill()
			<-over
		})
		return cmd
	}
	cmd := launch()
	f.until(r.name+" is ready", func() bool {
		select {
		case <-ended:
			cmd = launch()
		default:
		}
		return ready() > before
	})
	r.cmd, r.ended = cmd, ended
	r.up.Store(true)
}

// end ends a replica by a signal and waits until it is gone.
func (f *fleet) end(r *replica, sig os.Signal) {
	f.t.Helper()
	r.up.Store(false)
	f.signal(r.cmd, sig)
	<-r.ended
}

// work deploys to one place again and again, at whichever replica, until the
// context ends; what each line came to is counted by its exit code.
func (f *fleet) work(ctx context.Context, place string, seed uint64, codes *[6]atomic.Int64) {
	random := rand.New(rand.NewPCG(seed, 1))
	for n := 0; ctx.Err() == nil; n++ {
		r := f.replicas[random.IntN(len(f.replicas))]
		if !r.up.Load() {
			continue
		}
		line := fmt.Sprintf("deploy shop %s %s --reason \"%d\"", []string{"v2", "v3", "v1"}[n%3], place, n)
		limit, cancel := context.WithTimeout(context.Background(), crashPatience)
		cmd := exec.CommandContext(limit, f.builds[0], "run", "--as", "dev", "--config", f.path(r.name+".toml"), "--", line)
		cmd.Env = f.environ(databaseVar + "=" + r.near)
		_ = cmd.Run() // its exit code is what counts
		cancel()
		if code := cmd.ProcessState.ExitCode(); code >= 0 && code < len(codes) {
			codes[code].Add(1)
		}
	}
}

// through lets f's faults last until more than two leases are over and, at the
// other replicas, work went on.
func (f *fleet) through(what string) {
	f.t.Helper()
	// A lease is the call's 5 s, the 1 s in which its effects may show, and 2 s
	// for the clocks.
	past, before := time.Now().Add(17*time.Second), f.effects("deploy")
	f.until(what+": two leases are over, and work goes on", func() bool { return time.Now().After(past) && f.effects("deploy") >= before+3 })
}

// TestThreeReplicas: under load, each of three replicas in turn is killed,
// stopped and continued, and cut off from the database for more than two leases.
// Every accepted command ends once or is unknown, the platform was asked once
// for each, the log verifies, and the audit channel is told of all of it.
func TestThreeReplicas(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	for _, r := range f.replicas {
		f.start(r, f.builds[1])
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var load sync.WaitGroup
	var codes [6]atomic.Int64
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for i, place := range places {
		load.Go(func() { f.work(ctx, place, seed+uint64(i), &codes) })
	}
	f.until("work is under way", func() bool { return f.effects("deploy") > 2*len(places) })
	turns := f.replicas
	if !all() {
		turns = turns[:1]
	}
	for i, r := range turns {
		f.end(r, syscall.SIGKILL)
		f.through(r.name + " was killed")
		f.start(r, f.builds[i%2])

		f.signal(r.cmd, syscall.SIGSTOP)
		f.through(r.name + " is stopped")
		f.signal(r.cmd, syscall.SIGCONT)

		r.wire.set([]wireMode{silent, broken}[i%2])
		f.through(r.name + " is cut off")
		r.wire.set(whole)
	}
	// A rolling update to the present build, with runs under way.
	for _, r := range f.replicas {
		f.end(r, syscall.SIGTERM)
		if code := r.cmd.ProcessState.ExitCode(); code != 0 {
			log, _ := os.ReadFile(f.path(r.name + ".log"))
			t.Errorf("%s ended with %d\n%s", r.name, code, log[max(0, len(log)-4000):])
		}
		f.start(r, f.builds[0])
	}
	before := f.effects("deploy")
	f.until("the new ones work", func() bool { return f.effects("deploy") > before+len(places) })
	cancel()
	load.Wait()
	f.settled()
	t.Logf("lines by exit code: done %d, failed %d, invalid %d, denied %d, waiting %d, unknown %d", codes[0].Load(), codes[1].Load(), codes[2].Load(),
		codes[3].Load(), codes[4].Load(), codes[5].Load())
	f.account()
	f.told()
}

// settled waits until no run is open any more. Those that wait for a person
// expire or are ended here as their asker would.
func (f *fleet) settled() {
	f.t.Helper()
	f.until("every run is settled", func() bool {
		db, err := f.open(f.t.Context())
		if err != nil {
			return false
		}
		defer db.Close()
		return f.openRuns(db) == 0
	})
}

// account holds what the log tells of every run against what the platform was
// asked.
func (f *fleet) account() {
	f.t.Helper()
	asked := map[string]int{} // by the key of the operation
	raw, err := os.ReadFile(f.path("platform/effects.log"))
	if err != nil {
		f.t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		asked[strings.TrimSpace(line[strings.LastIndex(line, " as ")+4:])]++
	}
	type story struct {
		kinds []string
		key   string
	}
	runs := map[int64]*story{}
	for _, rec := range f.records() {
		if rec.Run == 0 {
			continue
		}
		if runs[rec.Run] == nil {
			runs[rec.Run] = &story{}
		}
		s := runs[rec.Run]
		if rec.Kind != "step" && rec.Kind != "confirmed" && rec.Kind != "approved" {
			s.kinds = append(s.kinds, rec.Kind)
		}
		if rec.Kind == "started" {
			s.key = rec.Detail["key"]
		}
	}
	ends := map[string]int{}
	for number, s := range runs {
		end := s.kinds[len(s.kinds)-1]
		ends[end]++
		told := strings.Join(s.kinds, " ")
		started := strings.Contains(told, "started")
		want := "requested " + end
		if started {
			want = "requested started " + end
		}
		if told != want || !slices.Contains([]string{"succeeded", "failed", "cancelled", "expired", "unknown"}, end) {
			f.t.Errorf("the log tells of run #%d: %s", number, told)
		}
		n := asked[s.key]
		delete(asked, s.key)
		switch {
		case n > 1:
			f.t.Errorf("the platform was asked %d times for run #%d, %s", n, number, told)
		case end == "succeeded" && n != 1:
			f.t.Errorf("run #%d is said to have succeeded, and the platform was never asked", number)
		case !started && n != 0:
			f.t.Errorf("run #%d never started, and the platform was asked", number)
		}
	}
	if len(asked) > 0 {
		f.t.Errorf("the platform was asked for what no run tells of: %v", slices.Sorted(maps.Keys(asked)))
	}
	f.t.Logf("%d runs: %v", len(runs), ends)
	if ends["succeeded"] < 20 {
		f.t.Errorf("only %d runs succeeded: not much of a load", ends["succeeded"])
	}
}

// told checks that the audit channel tells of every record of a run, each for
// the first time in its order, and counts what came twice.
func (f *fleet) told() {
	f.t.Helper()
	var want []int64
	for _, rec := range f.records() {
		if rec.Run != 0 {
			want = append(want, rec.Seq)
		}
	}
	f.until("every record is told", func() bool {
		seen, _ := f.sequences()
		return !slices.ContainsFunc(want, func(seq int64) bool { return seen[seq] == 0 })
	})
	seen, first := f.sequences()
	twice := 0
	for _, n := range seen {
		if n > 1 {
			twice++
		}
	}
	f.t.Logf("%d records told, %d of them twice, as their sequence shows", len(seen), twice)
	if !slices.IsSorted(first) {
		for i := 1; i < len(first); i++ {
			if first[i] < first[i-1] {
				f.t.Errorf("record %d was told of after %d", first[i], first[i-1])
			}
		}
	}
}

// sequences reads the audit channel's file: how often each record is told of
// as one that is new, and the greatest sequence of each post when it first came.
func (f *fleet) sequences() (seen map[int64]int, first []int64) {
	raw, err := os.ReadFile(f.path("channels/audit-channel.txt"))
	if err != nil {
		if raw, err = os.ReadFile(f.path("audit-channel.txt")); err != nil {
			return nil, nil
		}
	}
	seen = map[int64]int{}
	for line := range strings.Lines(string(raw)) {
		at := strings.LastIndex(line, "; audit ")
		if at < 0 {
			continue
		}
		pairs, ok := audit.Sequences(strings.TrimSpace(line[at+2:]))
		if !ok || len(pairs) == 0 {
			continue
		}
		fresh := seen[pairs[0][0]] == 0
		for _, p := range pairs {
			for seq := p[0]; seq <= p[1]; seq++ {
				seen[seq]++
			}
		}
		if fresh && !strings.Contains(line, "  read — ") { // those are gathered for a minute
			first = append(first, pairs[0][0])
		}
	}
	return seen, first
}

// entry is what the tests look at in an exported record.
type entry struct {
	Seq    int64             `json:"seq"`
	Kind   string            `json:"kind"`
	Run    int64             `json:"run"`
	Detail map[string]string `json:"detail"`
}

// records exports the log, which must verify.
func (f *fleet) records() (list []entry) {
	f.t.Helper()
	verb := func(verb string) *exec.Cmd {
		cmd := exec.Command(f.builds[0], "audit", verb, "--config", f.path("config.toml"))
		cmd.Env = f.environ()
		return cmd
	}
	if out, err := verb("verify").CombinedOutput(); err != nil {
		f.t.Fatalf("the log does not verify: %v\n%s", err, out)
	}
	out, err := verb("export").Output()
	if err != nil {
		f.t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l struct {
			Record *entry `json:"record"`
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			f.t.Fatal(err)
		}
		if l.Record != nil {
			list = append(list, *l.Record)
		}
	}
	return list
}
