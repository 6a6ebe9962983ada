package prometheusprovider

import (
	"testing"

	"quarterdeck/bot/provider/providertest"
)

func TestConformance(t *testing.T) {
	providertest.MetricSources(t, func(t *testing.T) providertest.MetricHarness {
		_, server, h := far(t)
		h.Source = opened(t, server.URL, "")
		return h
	})
}
