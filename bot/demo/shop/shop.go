package shop

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// drainTimeout bounds how long a stopping instance waits for open requests.
const drainTimeout = 5 * time.Second

// Main runs one instance until SIGTERM, an interrupt or the end of standard
// input, and returns the exit code: 0 stopped, 1 failed, 2 bad flags. args are
// the flags without the program's name:
//
//	--version v1|v2|v3|v4 --env staging|prod --listen 127.0.0.1:0 --db FILE
//
// When it listens, it prints one line, {"listening":"127.0.0.1:PORT"}; its log
// goes to standard error as JSON lines.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	return run(ctx, args, os.Stdin, os.Stdout, os.Stderr)
}

type options struct {
	release         release
	env, listen, db string
	flags, flagKeys string // where to ask for flags, and the beginning of the key's path
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	var version string
	flags := flag.NewFlagSet("shop", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&version, "version", "", "release to be: v1, v2, v3 or v4")
	flags.StringVar(&o.env, "env", "", "environment: staging or prod")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:0", "loopback address to listen on")
	flags.StringVar(&o.flags, "flags", "", "where the bot answers for flags; without it all are off")
	flags.StringVar(&o.flagKeys, "flag-keys", "", "what the path of the flag key begins with; the environment follows")
	flags.StringVar(&o.db, "db", "", "orders database, shared by the environment's instances")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is not expected: the shop takes flags only", flags.Arg(0))
	}
	var known bool
	if o.release, known = findRelease(version); !known {
		return o, fmt.Errorf("--version is %q, expected v1, v2, v3 or v4", version)
	}
	if o.env != "staging" && o.env != "prod" {
		return o, fmt.Errorf("--env is %q, expected staging or prod", o.env)
	}
	if o.db == "" {
		return o, errors.New("--db is missing: the path of the orders database")
	}
	host, _, err := net.SplitHostPort(o.listen)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return o, fmt.Errorf("--listen is %q, expected a loopback address such as 127.0.0.1:0", o.listen)
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	opts, err := parse(args, stderr)
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(stderr, "shop: %v\n", err)
		}
		return 2
	}
	log := slog.New(slog.NewJSONHandler(stderr, nil)).
		With("service", "shop", "env", opts.env, "version", opts.release.version, "pid", os.Getpid())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with the process: a read from standard input cannot be called off
		_, _ = io.Copy(io.Discard, stdin)
		cancel()
	}()
	if err := serve(ctx, opts, log, stdout); err != nil {
		log.Error("stopped", "error", err.Error())
		return 1
	}
	return 0
}

// serve answers requests until ctx ends, then drains.
func serve(ctx context.Context, opts options, log *slog.Logger, stdout io.Writer) (err error) {
	create := opts.release.schema == schemaVersion
	store, err := openOrders(ctx, opts.db, create)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.close()) }()

	features, err := openFlags(opts.flags, opts.flagKeys+opts.env)
	if err != nil {
		return err
	}
	srv := &server{
		flags:   features,
		release: opts.release, env: opts.env, orders: store, log: log, now: time.Now,
		metrics: newMetrics(opts.env, opts.release.version, time.Now()),
	}
	listener, err := net.Listen("tcp", opts.listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	web := &http.Server{
		Handler:           srv.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      15 * time.Second,
		IdleTimeout:       time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()
	if err := json.NewEncoder(stdout).Encode(map[string]string{"listening": listener.Addr().String()}); err != nil {
		return errors.Join(fmt.Errorf("announce address: %w", err), web.Close(), ignoreClosed(<-served))
	}
	log.Info("listening", "address", listener.Addr().String())

	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	srv.stopping.Store(true)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := web.Shutdown(drain); err != nil {
		return errors.Join(fmt.Errorf("drain: %w", err), web.Close(), ignoreClosed(<-served))
	}
	return ignoreClosed(<-served)
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
