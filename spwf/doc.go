// Package spwf drives the AT console of ST's SPWF01SA and SPWF01SC Wi-Fi
// modules (firmware 3.x) over any stream of bytes with a read deadline.
//
// The console answers a command with lines that end in OK or ERROR, prints
// indications (+WIND:n:text) whenever it likes, and returns socket data as
// counted raw bytes. The driver keeps these apart: an indication met inside a
// reply is kept, counted bytes are never searched, and noise around a reset
// is passed over. Commands and indications are those of ST's user manual
// UM1695, TLS those of application note AN4683. What these leave open is an
// option here, never an assumption.
//
// Calls take a context and carry a limit of their own (Limits). An error says
// which command on which board, what came back, and which limit fired; it
// never holds a credential.
package spwf
