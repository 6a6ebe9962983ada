package terminal

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"
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
		Next: func(as string) string {
			if len(steps) == 0 {
				return "# that was all, " + as
			}
			next := steps[0]
			steps = steps[1:]
			return next
		},
		Local: map[string]Local{"tamper": func(_ context.Context, args []string, out io.Writer) error {
			_, err := fmt.Fprintln(out, "tampered with", args)
			return err
		}, "crash": func(_ context.Context, _ []string, out io.Writer) error {
			go func() {
				time.Sleep(50 * time.Millisecond) // the prompt is back by then, or comes after it
				for _, part := range []string{"killed the bot with -9 in the middle of a deployment; ", "it is ", "being started again at once\n"} {
					fmt.Fprint(out, part)
				}
			}()
			return nil
		}}}
	if err := s.Chat(ctx); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}
