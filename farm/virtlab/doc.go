// Package virtlab is a lab of virtual SPWF01SA modules. A virtual module is
// hardware, not a second back-end of the lab: bytes on a UART, levels on
// RESETn, BOOT0, GPIO0 and power, flash pages, a boot ROM. What lies behind is
// simulated silicon that runs whatever image is in its flash.
//
// There are three doors to the same module:
//
//   - New starts a Lab whose boards have a pseudo terminal, GPIO pins in
//     periph's registry and a control socket: what a lab's own code, or any
//     other process, opens like real hardware.
//   - NewModule starts one module with its UART in memory (Port) and its lines
//     as method calls; it works inside testing/synctest.
//   - NewCore makes a module without any goroutine: the caller is its clock.
//     That is the door for exhaustive campaigns.
//
// Facts about the part are from AN3155, AN2606 and PM0075, facts about the
// module from UM1695 and from transcripts of real modules.
package virtlab
