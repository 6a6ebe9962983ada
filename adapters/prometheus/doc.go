// Package prometheusprovider reads metrics from Prometheus, and from whatever
// else speaks its query API: Thanos, Mimir, VictoriaMetrics.
//
// A query is asked for by form POST, so that its length has no limit of an
// address's. The API is that of Prometheus 2.x and 3.x:
// https://prometheus.io/docs/prometheus/latest/querying/api/
package prometheusprovider
