package providertest

// Fault is the manner in which a hostile infrastructure misbehaves. None of the
// hostile ones knows an idempotency token: started twice, they act twice.
type Fault string

// The faults. Those about a start strike the first start of every key.
const (
	// None still lacks tokens; a marker can be searched for.
	None Fault = "none"
	// LateMarker shows what was started only after most of the settle time.
	LateMarker Fault = "late marker"
	// LateAct answers a start with a timeout and acts after most of the settle
	// time.
	LateAct Fault = "late act"
	// ActsThenTimeout acts and then answers with a timeout.
	ActsThenTimeout Fault = "acts then timeout"
	// HangsBeforeActing does not act and does not answer.
	HangsBeforeActing Fault = "hangs before acting"
	// HangsAfterActing acts and does not answer.
	HangsAfterActing Fault = "hangs after acting"
	// LiesAfterActing acts and answers that it is out of order.
	LiesAfterActing Fault = "lies after acting"
	// HangsOnLooks does not answer the second look at every operation.
	HangsOnLooks Fault = "hangs on looks"
	// Flaky fails every second look.
	Flaky Fault = "flaky"
	// Reverts says that an operation is done, and has put the old version back.
	Reverts Fault = "reverts"
	// CancelsPartly leaves both versions running when told to stop.
	CancelsPartly Fault = "cancels partly"
	// UnknownState reports a state that nobody has heard of.
	UnknownState Fault = "unknown state"
	// Unsearchable acts, answers with a timeout, and offers no way to look for
	// the marker.
	Unsearchable Fault = "unsearchable"
)

// Faults lists every fault.
func Faults() []Fault {
	return []Fault{
		None, LateMarker, LateAct, ActsThenTimeout, HangsBeforeActing, HangsAfterActing, LiesAfterActing,
		HangsOnLooks, Flaky, Reverts, CancelsPartly, UnknownState, Unsearchable,
	}
}
