package platform

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	loadTimeout = 3 * time.Second
	// loadInFlight bounds the requests on their way: a service that hangs must
	// not turn its customers into a crowd.
	loadInFlight = 32
)

// load is the customers: it sends requests through the front until ctx ends.
func (e *environment) load(ctx context.Context) {
	if e.cfg.LoadPerSecond <= 0 {
		return
	}
	var customers sync.WaitGroup
	defer customers.Wait()
	free := make(chan struct{}, loadInFlight)
	tick := time.NewTicker(time.Duration(float64(time.Second) / e.cfg.LoadPerSecond))
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case free <- struct{}{}:
		default:
			continue
		}
		customers.Go(func() {
			defer func() { <-free }()
			// What comes of it the instances count, and the monitor reads there.
			_ = e.ask(ctx, n)
		})
	}
}

// ask sends the nth request: four orders, then a look at something.
func (e *environment) ask(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	method, path, body := http.MethodPost, "/orders", ""
	switch n % 10 {
	case 4:
		method, path = http.MethodGet, "/"
	case 9:
		method, path = http.MethodGet, "/orders/count"
	default:
		items := []string{"coffee", "tea", "cup", "filter", "grinder"}
		body = fmt.Sprintf(`{"item":%q,"quantity":%d}`, items[n%len(items)], 1+n%3)
	}
	req, err := http.NewRequestWithContext(ctx, method, e.front.url()+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := e.super.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	return err
}
