// Package shop is the sample service that the demo's platform runs: a small
// order desk over HTTP, one operating-system process per instance, with an
// orders database shared by the instances of one environment.
//
// Four releases of it exist, and what is wrong with two of them is a real
// defect rather than a switch that throws dice:
//
//   - v1 and v2 are good.
//   - v3 looks for duplicates among the recent orders, for every third order,
//     and gives up where there are too many of them. It starts fine, and in an
//     environment with little traffic it stays fine.
//   - v4 needs a database migration that nobody has run, so it never becomes
//     healthy.
//
// A process lives no longer than whoever started it: it ends when its standard
// input ends.
package shop
