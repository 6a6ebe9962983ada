package health

import (
	"context"
	"net"
	"os"
	"strconv"
	"time"
)

// What the init system is told; see sd_notify(3).
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
	alive    = "WATCHDOG=1"
)

// Notify tells the init system a state, when it asked for that by NOTIFY_SOCKET.
// Where nobody asked it does nothing and gives nil.
func Notify(state string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	// A leading @, for the abstract namespace, is understood by package net.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(state))
	return err
}

// watchdogEvery gives how often the init system wants to hear that the process
// is alive: half of what it waits for, as sd_watchdog_enabled(3) advises; 0 for
// never.
func watchdogEvery() time.Duration {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	us, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || us <= 0 {
		return 0
	}
	return time.Duration(us) * time.Microsecond / 2
}

// Watchdog tells the init system that the process is alive, for as long as every
// loop turns and until ctx ends. It returns at once where nobody asked. A store
// that takes no writes does not stop it: a restart would not mend that.
func (m *Monitor) Watchdog(ctx context.Context) error {
	every := watchdogEvery()
	if every <= 0 {
		return nil
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if len(m.Hung()) == 0 {
			if err := Notify(alive); err != nil {
				m.c.Logger.Warn("tell the init system", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
