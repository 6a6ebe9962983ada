package terminal

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"syscall"
)

// childSocket makes the test binary a session on its own standard input and
// output, as the line editor works on nothing else.
const childSocket = "QUARTERDECK_TEST_SOCKET"

// child is that session. It exits 0 unless the session failed.
func child(socket string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	steps := []string{"whoami", "/as sre\nwhoami"}
	s := &Session{Socket: socket, As: "dev",
		Next: func() string {
			if len(steps) == 0 {
				return ""
			}
			next := steps[0]
			steps = steps[1:]
			return next
		},
		Local: map[string]Local{"tamper": func(_ context.Context, args []string, out io.Writer) error {
			_, err := fmt.Fprintln(out, "tampered with", args)
			return err
		}}}
	if err := s.Chat(ctx); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}
