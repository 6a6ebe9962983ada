package app

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"quarterdeck/bot"
)

// wakeRuns has the runs under way on targets looked at now.
func (a *App) wakeRuns(ctx context.Context, targets []bot.Target) error {
	engine := a.driver.Load()
	if engine == nil {
		return bot.Errorf(bot.Unavailable, "the bot does not run yet")
	}
	return engine.Hurry(ctx, targets)
}

// events gives the routes of providers that are told of events over HTTP. A request
// is answered by the provider as it is configured when it comes; a path that a
// reload adds is there from the next start on, and one that it takes away is not
// found any more.
func (a *App) events() (routes []bot.Route) {
	for _, name := range slices.Sorted(maps.Keys(a.providers)) {
		for _, r := range routesOf(a, name) {
			r.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				for _, now := range routesOf(a.current(), name) {
					if now.Path == r.Path && now.Method == r.Method {
						now.Handler.ServeHTTP(w, req)
						return
					}
				}
				http.NotFound(w, req)
			})
			routes = append(routes, r)
		}
	}
	return routes
}

func routesOf(a *App, name string) []bot.Route {
	if r, ok := a.providers[name].(bot.Routed); ok {
		return r.Routes()
	}
	return nil
}

// unheardEvents refuses providers that are to be told of events by a listener which
// is not configured: none would ever come in.
func (a *App) unheardEvents(f *faults) {
	for _, p := range a.Config.Providers {
		for _, r := range routesOf(a, p.Name) {
			if a.Config.Listen[r.On] == "" {
				f.add(p.Raw.Where(), bot.Errorf(bot.Invalid, "[provider.%s] is told of events by the %s listener, which is not configured; set %s in [listen], such as %q", p.Name, r.On, r.On, "127.0.0.1:8080"))
				break
			}
		}
	}
}
