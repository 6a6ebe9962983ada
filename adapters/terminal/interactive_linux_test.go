package terminal

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"quarterdeck/bot"
)

// display is as much of a terminal as is needed to see what a person would.
type display struct {
	mu       sync.Mutex
	rows     []string
	row, col int
	pending  string // an escape sequence that has not ended yet
}

func (d *display) put(r rune) {
	for len(d.rows) <= d.row {
		d.rows = append(d.rows, "")
	}
	line := []rune(d.rows[d.row])
	for len(line) <= d.col {
		line = append(line, ' ')
	}
	line[d.col] = r
	d.rows[d.row] = string(line)
	d.col++
}

func (d *display) cutRow() {
	if d.row < len(d.rows) {
		line := []rune(d.rows[d.row])
		d.rows[d.row] = string(line[:min(d.col, len(line))])
	}
}

func (d *display) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range string(b) {
		switch {
		case d.pending != "":
			d.pending += string(r)
			if r >= '@' && r <= '~' && r != '[' {
				d.escape(d.pending[2:len(d.pending)-1], r)
				d.pending = ""
			}
		case r == 0x1b:
			d.pending = "\x1b"
		case r == '\r':
			d.col = 0
		case r == '\n':
			d.row++
		case r == '\b':
			d.col = max(0, d.col-1)
		default:
			d.put(r)
		}
	}
	return len(b), nil
}

func (d *display) escape(args string, r rune) {
	n, err := strconv.Atoi(args)
	if err != nil {
		n = 1
	}
	switch r {
	case 'A':
		d.row = max(0, d.row-n)
	case 'C':
		d.col += n
	case 'G':
		d.col = n - 1
	case 'K':
		d.cutRow()
	case 'J':
		d.cutRow()
		d.rows = d.rows[:min(d.row+1, len(d.rows))]
	}
}

func (d *display) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	lines := make([]string, len(d.rows))
	for i, l := range d.rows {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// person sits at a terminal with a session on it.
type person struct {
	t      *testing.T
	tty    *os.File // the terminal's other side
	screen *display
	cmd    *exec.Cmd
}

func sitDown(t *testing.T, socket string, env ...string) *person {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatalf("no pseudo-terminal: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, tty: master, screen: &display{}, cmd: exec.Command(exe)}
	p.cmd.Env = append([]string{childSocket + "=" + socket, "TERM=xterm", "PATH=" + os.Getenv("PATH")}, env...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = slave, slave, slave
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			p.screen.Write(b[:n])
			if err != nil { // EIO when the session is gone
				return
			}
		}
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		<-done
	})
	return p
}

func (p *person) types(text string) {
	p.t.Helper()
	if _, err := p.tty.WriteString(text); err != nil {
		p.t.Fatal(err)
	}
}

// sees waits until the screen is exactly this.
func (p *person) sees(want string) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for p.screen.String() != want {
		if time.Now().After(deadline) {
			p.t.Fatalf("the screen shows\n%s\nwant\n%s", p.screen, want)
		}
		time.Sleep(time.Millisecond)
	}
}

// leaves expects the session to end well and to leave the terminal as it was.
func (p *person) leaves() {
	p.t.Helper()
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("the session ended with %v; the screen shows\n%s", err, p.screen)
	}
	mode, err := unix.IoctlGetTermios(int(p.tty.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	if mode.Lflag&unix.ECHO == 0 || mode.Lflag&unix.ICANON == 0 {
		p.t.Error("the terminal was left without echo or line mode")
	}
}

func progress(version int64, text string) bot.Card {
	return bot.Card{Key: "run/1", Version: version, Run: 1, State: bot.Running, Phase: bot.PhaseWorking, Tone: bot.Working,
		Title: "#1 deploy: running", Progress: &bot.Gauge{Text: text}}
}

func TestInteractive(t *testing.T) {
	o := Options{Socket: socketPath(t), Impersonate: true, Version: "1", Describe: describe,
		Complete: func(_ context.Context, a bot.AccountID, line string) []string {
			if strings.HasPrefix("whoami", line) && a == "terminal:dev" {
				return []string{"whoami"}
			}
			return nil
		}}
	b := newTestBot(scripted)
	n, _ := serve(t, o, b)
	p := sitDown(t, o.Socket, "NO_COLOR=1")
	p.sees("dev>")

	p.types("who\t\r") // completed
	p.sees("dev> whoami\nyou are terminal:dev\ndev>")
	channel := b.messages()[0].Channel
	deliver := func(c bot.Card) {
		t.Helper()
		if _, err := n.Deliver(within(t), bot.Delivery{Channel: channel, Card: c}); err != nil {
			t.Fatal(err)
		}
	}

	p.types("half a li")
	p.sees("dev> whoami\nyou are terminal:dev\ndev> half a li")
	deliver(progress(1, "one of two")) // above the line being typed
	p.sees("dev> whoami\nyou are terminal:dev\n#1 deploy: running\n  one of two\ndev> half a li")
	deliver(progress(2, "two of two")) // in place
	p.sees("dev> whoami\nyou are terminal:dev\n#1 deploy: running\n  two of two\ndev> half a li")
	p.types("ne")
	p.sees("dev> whoami\nyou are terminal:dev\n#1 deploy: running\n  two of two\ndev> half a line")
	p.types("\x03") // Ctrl-C drops the line, not the session
	top := "dev> whoami\nyou are terminal:dev\n#1 deploy: running\n  two of two\ndev> half a line^C\n"
	p.sees(top + "dev>")

	deliver(progress(3, "scrolled away")) // not the last thing printed any more: kept for its end
	done := progress(4, "")
	done.State, done.Phase, done.Title = bot.Succeeded, bot.PhaseDone, "#1 deploy: done"
	deliver(done)
	top += "#1 deploy: done\n"
	p.sees(top + "dev>")

	p.types("\r") // the story's next step
	top += "dev> whoami\nyou are terminal:dev\n"
	p.sees(top + "dev>")
	p.types("\r")
	top += "dev> /as sre\nsre> whoami\nyou are terminal:sre\n"
	p.sees(top + "sre>")
	p.types("\r") // the story is over
	top += "sre>\nthat was all, sre\n"
	p.sees(top + "sre>")
	p.types("crash\r") // tells later, when the prompt is back, with something typed there
	p.types("half a li")
	top += "sre> crash\nkilled the bot with -9 in the middle of a deployment; it is being started again\n  at once\n"
	p.sees(top + "sre> half a li")
	p.types("\x15tamper row 3\r")
	top += "sre> tamper row 3\ntampered with [row 3]\n"
	p.sees(top + "sre>")
	p.types("\x1b[A\x1b[A\x1b[A\r") // history
	top += "sre> whoami\nyou are terminal:sre\n"
	p.sees(top + "sre>")
	p.types("\x04") // Ctrl-D
	p.leaves()
}

func TestInteractiveOverARestart(t *testing.T) {
	o := Options{Socket: socketPath(t), Impersonate: true, Version: "1", Describe: describe}
	b := newTestBot(scripted)
	_, stop := serve(t, o, b)
	p := sitDown(t, o.Socket, "NO_COLOR=1")
	p.sees("dev>")
	p.types("typed befo")
	p.sees("dev> typed befo")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	p.sees("the bot is gone; waiting for it to come back\ndev> typed befo")
	serve(t, o, b)
	p.sees("the bot is gone; waiting for it to come back\nthe bot is back (version 1)\ndev> typed befo")
	p.types("\x15whoami\r")
	p.sees("the bot is gone; waiting for it to come back\nthe bot is back (version 1)\ndev> whoami\nyou are terminal:dev\ndev>")
	p.types("/quit\r")
	p.leaves()
}

func TestInteractiveEndsWhenTold(t *testing.T) {
	o := Options{Socket: socketPath(t), Impersonate: true, Describe: describe}
	serve(t, o, newTestBot(scripted))
	p := sitDown(t, o.Socket)
	p.sees("dev>")
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.leaves()
}

func TestDumbTerminal(t *testing.T) {
	o := Options{Socket: socketPath(t), Impersonate: true, Describe: describe}
	serve(t, o, newTestBot(scripted))
	p := sitDown(t, o.Socket, "TERM=dumb")
	p.sees("dev>")
	p.types("whoami\n")
	p.sees("dev> whoami\nyou are terminal:dev\ndev>")
	p.types("/quit\n")
	p.leaves()
}
