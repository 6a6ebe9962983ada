// Package bot holds Quarterdeck's words and its chat-side ports. It is the hub
// of the tree: it imports the standard library alone, every adapter, command
// and policy imports it, and none of those import one another.
//
// The road a message takes:
//
//	adapter -> Message -> inbox (durable) -> parse -> Resolve -> Decide
//	  -> acknowledge -> Plan -> Decide on the plan's facts
//	  -> confirm / approve, bound to the Spec's digest
//	  -> slot, preconditions, rights once more -> intent (durable)
//	  -> Workflow: Advance, Advance, ... (each durable) -> outcome (durable)
//	  -> cards, audit channel
//
// Nothing has a side door: a read takes the same road with an empty Spec.
package bot
