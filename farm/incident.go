package farm

import "hil-runner/reports"

// The codes of what the watch can see in a board's bytes. The numbers are the
// module's asynchronous indications (UM1695, list of WIND messages).
const (
	// IncidentWatchdog is WIND 6, watchdog terminating.
	IncidentWatchdog = "watchdog"
	// IncidentHardFault is WIND 8, with the register dump as its text.
	IncidentHardFault = "hard_fault"
	// IncidentStackOverflow is WIND 9.
	IncidentStackOverflow = "stack_overflow"
	// IncidentMallocFailed is WIND 10.
	IncidentMallocFailed = "malloc_failed"
	// IncidentHeapTooSmall is WIND 4.
	IncidentHeapTooSmall = "heap_too_small"
	// IncidentWiFiException is WIND 31: the radio is dead until a restart.
	IncidentWiFiException = "wifi_exception"
	// IncidentWiFiHardware is WIND 5, a failure of the radio's hardware.
	IncidentWiFiHardware = "wifi_hardware_failure"
	// IncidentUnaskedReset is a WIND 1 or 2 that nobody asked for.
	IncidentUnaskedReset = "unasked_reset"
)

// IncidentOutcome says whose fault an incident is. What the firmware says of
// itself (faults, watchdog, memory, radio exception) is Failed. A restart out
// of nothing or a broken radio may be supply, wiring or silicon, so it is the
// lab's, as is every code that is not known here.
func IncidentOutcome(code string) (reports.Outcome, reports.Class) {
	switch code {
	case IncidentWatchdog, IncidentHardFault, IncidentStackOverflow,
		IncidentMallocFailed, IncidentHeapTooSmall, IncidentWiFiException:
		return reports.Failed, ""
	}
	return reports.Errored, reports.Infra
}

// isIncident knows the codes of the watch.
func isIncident(code string) bool {
	outcome, _ := IncidentOutcome(code)
	return outcome == reports.Failed || code == IncidentUnaskedReset || code == IncidentWiFiHardware
}

// incidentCause puts an incident into the form of a cause.
func incidentCause(in reports.Incident) (reports.Outcome, reports.Cause) {
	outcome, class := IncidentOutcome(in.Code)
	return outcome, reports.Cause{Class: class, Code: in.Code, Detail: in.Text}
}
