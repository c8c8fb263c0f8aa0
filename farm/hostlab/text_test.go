package hostlab_test

import (
	"bytes"
	"fmt"
	"time"

	"hil-runner/farm"
	"hil-runner/recorder"
)

// waitText waits until the module said something, as the journal has it.
func waitText(b *farm.Bench, from recorder.Offset, text string) error {
	s := b.Recording.Stream(from, recorder.KindRx)
	defer s.Close()
	if err := s.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	var got []byte
	p := make([]byte, 1024)
	for !bytes.Contains(got, []byte(text)) {
		n, err := s.Read(p)
		if err != nil {
			return fmt.Errorf("%q did not come, only %q: %w", text, got, err)
		}
		got = append(got, p[:n]...)
	}
	return nil
}

// readUntil reads a bench until its module said something.
func readUntil(b *farm.Bench, text string) (string, error) {
	if err := b.UART.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	var got []byte
	p := make([]byte, 1024)
	for !bytes.Contains(got, []byte(text)) {
		n, err := b.UART.Read(p)
		if err != nil {
			return string(got), err
		}
		got = append(got, p[:n]...)
	}
	return string(got), nil
}
