//go:build linux || darwin

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// frames FILE [stranger] writes the lines of a file to the bot's socket as they are, as an
// attacker does who needs no program of ours; as another user of the machine where
// that is said. It prints what was answered, one
// object a line, when every line but the hello has its answer and every line
// that was taken its card.
func frames(ts *testscript.TestScript, _ bool, args []string) {
	var conn net.Conn
	var err error
	if len(args) > 1 && args[1] == "stranger" {
		conn = dialAsStranger(ts, ts.MkAbs("q.sock"))
	} else {
		conn, err = net.Dial("unix", ts.MkAbs("q.sock"))
	}
	ts.Check(err)
	defer conn.Close()
	ts.Check(conn.SetDeadline(time.Now().Add(patience)))
	lines := strings.Split(strings.TrimSpace(ts.ReadFile(args[0])), "\n")
	for _, line := range lines {
		_, err := conn.Write([]byte(line + "\n"))
		ts.Check(err)
	}
	answered, taken := 0, map[int64]bool{}
	in := bufio.NewScanner(conn)
	in.Buffer(nil, 1<<20)
	for (answered < len(lines)-1 || len(taken) > 0) && in.Scan() {
		fmt.Fprintln(ts.Stdout(), in.Text())
		var r struct {
			Type string
			N    int64
			Card struct {
				ReplyTo string `json:"reply_to"`
			}
		}
		ts.Check(json.Unmarshal(in.Bytes(), &r))
		switch r.Type {
		case "taken":
			answered++
			taken[r.N] = true
		case "refused", "retry", "bye":
			answered++
		case "card":
			_, n, _ := strings.Cut(r.Card.ReplyTo, ":")
			_, n, _ = strings.Cut(n, ":")
			for line := range taken {
				if fmt.Sprint(line) == n {
					delete(taken, line)
				}
			}
			_, err := fmt.Fprintf(conn, `{"type":"got","n":%d}`+"\n", r.N)
			ts.Check(err)
		}
	}
	ts.Check(in.Err())
}
