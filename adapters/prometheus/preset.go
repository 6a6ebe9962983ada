package prometheusprovider

import (
	"time"

	"quarterdeck/bot/provider"
)

// Preset implements provider.Presetter with the golden signals under the names
// that Prometheus' own documentation and client libraries use, told apart by the
// label job, which is taken for the service, and env.
func (p *prometheus) Preset() []provider.Metric {
	const of = `{job="{service}", env="{env}"}[{window}]`
	const failed = `{job="{service}", env="{env}", code=~"5.."}[{window}]`
	percent, slow := 2.0, 1000.0
	least := map[string]float64{"requests": 0.2}
	metric := func(name, panel, unit, expr string, level provider.Level, signal provider.Signal) provider.Metric {
		return provider.Metric{Query: provider.Query{Name: name, Expr: expr, Unit: unit}, Panel: panel, Level: level, Signal: signal, Over: 5 * time.Minute}
	}
	quantile := func(q string) string {
		return `1000 * histogram_quantile(` + q + `, sum by (le) (rate(http_request_duration_seconds_bucket` + of + `)))`
	}
	requests := metric("requests", "requests", "req/s", `sum(rate(http_requests_total`+of+`))`, provider.Service, provider.Traffic)
	errors := metric("errors", "errors", "%",
		`100 * (sum(rate(http_requests_total`+failed+`)) or vector(0)) / sum(rate(http_requests_total`+of+`))`, provider.Service, provider.Errors)
	errors.Limits.Above, errors.Needs = &percent, least
	p50 := metric("p50", "latency", "ms", quantile("0.5"), provider.Service, "")
	p95 := metric("p95", "latency", "ms", quantile("0.95"), provider.Service, provider.Latency)
	p95.Limits.Above, p95.Needs = &slow, least
	cpu := metric("cpu", "cpu", "%", `100 * sum(rate(process_cpu_seconds_total`+of+`))`, provider.Technical, provider.Saturation)
	memory := metric("memory", "memory", "B", `sum(process_resident_memory_bytes{job="{service}", env="{env}"})`, provider.Technical, "")
	return []provider.Metric{requests, errors, p50, p95, cpu, memory}
}
