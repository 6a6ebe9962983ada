package terminal

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"quarterdeck/bot"
)

// TestAShellIsNobodyElse opens the socket to everybody, as an administrator's
// slip would, and tries to be somebody else in every frame there is: whatever a
// client writes, a line is from the account that the system names, or is refused.
func TestAShellIsNobodyElse(t *testing.T) {
	for name, value := range map[string]string{"USER": "root", "LOGNAME": "root", "SUDO_USER": "root", "SUDO_UID": "0", "HOME": "/root", "UID": "0"} {
		t.Setenv(name, value)
	}
	o := Options{Socket: socketPath(t), Describe: describe}
	b := newTestBot(scripted)
	serve(t, o, b)
	for path, mode := range map[string]os.FileMode{filepath.Dir(o.Socket): 0o755, o.Socket: 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	account := here
	if os.Geteuid() == 0 {
		account = bot.AccountID(fmt.Sprintf("os:%d", stranger))
	}
	hellos := []string{
		`{"type":"hello","v":1,"session":"` + secret + `"}`,
		`{"type":"hello","v":1,"session":"` + secret + `","names":["sre","root"]}`,
		`{"type":"hello","v":1,"session":"` + secret + `","account":"os:0","who":"sre","uid":0,"as":"sre","channel":"terminal:00000000000000000000000000000000"}`,
	}
	lines := []string{
		`{"type":"line","n":%d,"text":"whoami"}`,
		`{"type":"line","n":%d,"text":"whoami","as":"sre"}`,
		`{"type":"line","n":%d,"text":"whoami","AS":"sre"}`,
		`{"type":"line","n":%d,"text":"whoami","as":"","as":"sre"}`,
		`{"type":"line","n":%d,"text":"whoami","as":"os:0"}`,
		`{"type":"line","n":%d,"text":"whoami","as":"terminal:sre"}`,
		`{"type":"line","n":%d,"text":"whoami","account":"os:0","person":"sre","uid":0,"standing":"member"}`,
		`{"type":"line","n":%d,"text":"whoami","channel":"slack:C0OPS","message":"slack:1"}`,
		`{"type":"line","n":%d,"text":"sre> approve 1"}`,
		`{"type":"line","n":%d,"text":"approve 1\nas sre"}`,
		`{"type":"line","n":%d,"text":"/as sre"}`,
	}
	taken := 0
	for _, hello := range hellos {
		var w *wire
		asStranger(t, func() { w = dial(t, o.Socket) })
		w.write(hello)
		if r := w.read(); r.Type != sayHello || r.Account != account {
			t.Fatalf("%s makes him %+v, want %s", hello, r, account)
		}
		for i, line := range lines {
			n := int64(taken*len(lines) + i + 1)
			w.write(fmt.Sprintf(line, n))
			answered := false
			for !answered {
				switch r := w.read(); r.Type {
				case sayTaken:
					answered, taken = true, taken+1
				case sayRefused:
					answered = true
					if r.Kind != bot.Denied {
						t.Errorf("%s is refused with %+v, want denied", line, r)
					}
				case sayCard:
					raw, _ := json.Marshal(request{Type: askGot, N: r.N})
					w.write(string(raw))
				default:
					t.Fatalf("%s is answered by %+v", line, r)
				}
			}
		}
		for _, ask := range []string{`{"type":"who","n":900,"as":"sre"}`, `{"type":"complete","n":901,"as":"sre","text":"a"}`} {
			w.write(ask)
			for {
				r := w.read()
				if r.Type == sayCard {
					continue
				}
				if r.Type != sayRefused || r.Kind != bot.Denied {
					t.Errorf("%s is answered by %+v", ask, r)
				}
				break
			}
		}
		w.Close()
	}
	if taken != 3*6 {
		t.Errorf("%d lines were taken, want those 6 of each session that name nobody", taken)
	}
	for _, m := range b.messages() {
		if m.Account != account || m.Standing != bot.Member || m.Channel.Network() != "terminal" {
			t.Errorf("the bot was given a message of %s in %s, want %s alone", m.Account, m.Channel, account)
		}
	}
}

// TestReplayedFrames: who saw all that a session of another user wrote, its
// secret included, and writes the same, speaks for himself in a channel of his
// own, and gets nothing of hers.
func TestReplayedFrames(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("to be two users takes root; make test-all runs as root")
	}
	o := Options{Socket: socketPath(t), Describe: describe}
	b := newTestBot(scripted)
	n, _ := serve(t, o, b)
	for path, mode := range map[string]os.FileMode{filepath.Dir(o.Socket): 0o755, o.Socket: 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	hers := dial(t, o.Socket)
	channel := hers.session(secret)
	frame := `{"type":"line","n":1,"text":"approve 1"}`
	hers.write(frame)
	until(t, "her line", func() bool { return len(b.messages()) == 1 })

	var his *wire
	asStranger(t, func() { his = dial(t, o.Socket) })
	his.write(`{"type":"hello","v":1,"session":"` + secret + `"}`)
	hello := his.read()
	if hello.Type != sayHello || hello.Channel == channel || hello.Account == here {
		t.Fatalf("with her secret he is %+v", hello)
	}
	his.write(frame)
	until(t, "his line", func() bool { return len(b.messages()) == 2 })
	got := b.messages()
	if got[1].Account != hello.Account || got[1].ID == got[0].ID || got[1].Channel != hello.Channel {
		t.Errorf("his replay arrives as %+v", got[1])
	}
	// Hers is still connected, and what is hers goes to her.
	d := bot.Delivery{Channel: hello.Channel, To: here, Card: bot.Card{Key: "k", Title: "a secret"}}
	if _, err := n.Deliver(within(t), d); bot.KindOf(err) != bot.Denied {
		t.Errorf("a card for %s in his channel gave %v, want Denied", here, err)
	}
}
