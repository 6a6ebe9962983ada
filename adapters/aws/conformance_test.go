package awsprovider

import (
	"testing"
	"time"

	"quarterdeck/adapters/aws/fakeaws"
	"quarterdeck/bot"
	"quarterdeck/bot/provider/providertest"
)

// TestDeployer runs the conformance suite where the images are in ECR.
func TestDeployer(t *testing.T) {
	providertest.Deployers(t, func(t *testing.T) providertest.Harness { return newWorld(t).harness() })
}

// TestScaler runs the conformance suite of Scalers.
func TestScaler(t *testing.T) {
	providertest.Scalers(t, func(t *testing.T) providertest.ScaleHarness { return newWorld(t).scaleHarness() })
}

func (w *world) scaleHarness() providertest.ScaleHarness {
	return providertest.ScaleHarness{Target: prod, Attach: w.scaler, Effects: w.Effects, Pass: w.pass, Dimension: tasks, Good: "5", Points: 5}
}

// hostile is how AWS misbehaves once, at a call that acts.
func hostile() map[string]fakeaws.Fault {
	return map[string]fakeaws.Fault{
		"500 before acting":   {Status: 500, Code: "ServerException"},
		"500 after acting":    {Status: 500, Code: "ServerException", Acts: true},
		"503 HTML":            {Status: 503, Message: "busy", Acts: true},
		"cut before acting":   {},
		"cut after acting":    {Acts: true},
		"acts late":           {Acts: true, Late: 9 * time.Second},
		"throttled":           {Status: 400, Code: "ThrottlingException", Message: "Rate exceeded"},
		"expired credentials": {Status: 400, Code: "ExpiredTokenException", Message: "expired"},
	}
}

// TestHostile runs the suites while AWS misbehaves: whatever it does with a
// request that acts, it acts once or unknown is said.
func TestHostile(t *testing.T) {
	for name, fault := range hostile() {
		for _, op := range []string{"RegisterTaskDefinition", "UpdateService"} {
			t.Run(name+" "+op, func(t *testing.T) {
				t.Parallel()
				providertest.Deployers(t, func(t *testing.T) providertest.Harness {
					w := newWorld(t)
					f := fault
					f.Op, f.Times = op, 1
					w.Inject(f)
					return w.harness()
				})
			})
		}
		t.Run(name+" scaling", func(t *testing.T) {
			t.Parallel()
			providertest.Scalers(t, func(t *testing.T) providertest.ScaleHarness {
				w := newWorld(t)
				f := fault
				f.Op, f.Times = "UpdateService", 1
				w.Inject(f)
				return w.scaleHarness()
			})
		})
	}
}

// TestFlaky has every kind of request fail twice in a deployment, at any point.
func TestFlaky(t *testing.T) {
	for _, op := range []string{
		"DescribeServices", "DescribeTaskDefinition", "RegisterTaskDefinition", "UpdateService", "ListServiceDeployments",
		"DescribeServiceRevisions", "DescribeServiceDeployments",
	} {
		for name, fault := range hostile() {
			for skip := range 3 {
				w := newWorld(t)
				d := w.attach()
				h := w.begin(d, "deploy", "v2", "run-7-abc")
				f := fault
				f.Op, f.Times, f.Skip = op, 2, skip
				w.Inject(f)
				_, p, err := w.run(d, h, nil)
				if n := w.Effects("run-7-abc"); err != nil || p.State != bot.OpSucceeded || n != 1 {
					t.Errorf("%s, %s after %d: %s (%s), %v, %d effects", op, name, skip, p.State, p.Text, err, n)
				}
			}
		}
	}
}
