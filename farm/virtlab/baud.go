package virtlab

import "time"

// mismatch says whether two speeds are too far apart for a UART: with more
// than about four per cent the last bit of a byte is sampled outside itself.
func mismatch(host, module int) bool {
	if host <= 0 || module <= 0 {
		return false
	}
	diff := host - module
	if diff < 0 {
		diff = -diff
	}
	return diff*25 > module
}

// resample is what a receiver at one speed makes of bytes that were sent at
// another: it looks for a start bit and samples the middle of each bit by its
// own clock. Frames without a stop bit come through as the garbage they are.
func resample(p []byte, from, to int) []byte {
	sent := time.Second / time.Duration(from) // length of one bit
	own := time.Second / time.Duration(to)
	if sent <= 0 || own <= 0 {
		return nil
	}
	total := time.Duration(len(p)) * appBits * sent
	level := func(t time.Duration) bool {
		if t >= total {
			return true // idle
		}
		bit := int(t / sent)
		switch at := bit % appBits; at {
		case 0:
			return false
		case appBits - 1:
			return true
		default:
			return p[bit/appBits]>>(at-1)&1 == 1
		}
	}
	var out []byte
	for t := time.Duration(0); t < total; {
		if level(t) || level(t+own/2) { // no start bit, or too short for one
			t += max(min(sent, own)/4, 1)
			continue
		}
		var b byte
		for i := range 8 {
			if level(t + own*time.Duration(2*i+3)/2) {
				b |= 1 << i
			}
		}
		out = append(out, b)
		t += own * (2*(appBits-1) + 1) / 2
	}
	return out
}
