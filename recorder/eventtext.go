package recorder

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// maxEventText bounds an event on a line of the log.
const maxEventText = 600

// bootROM reads a record of KindBoot: whether the next reset starts the boot
// ROM. Its bytes are a binary protocol: the journal has them all, the readable
// log counts them.
func bootROM(data []byte) (rom, ok bool) {
	var boot struct {
		ROM *bool `json:"rom"`
	}
	if json.Unmarshal(data, &boot) != nil || boot.ROM == nil {
		return false, false
	}
	return *boot.ROM, true
}

// eventText writes an event for people: its name and its fields in their
// order as key=value, long lists as their count. The time stands at the
// begin of the line already. Data of another form stays as it is.
func eventText(data []byte) []byte {
	dec := json.NewDecoder(bytes.NewReader(data))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return data
	}
	var name string
	var fields []string
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return data
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return data
		}
		switch key {
		case "at":
		case "event":
			if json.Unmarshal(value, &name) != nil {
				return data
			}
		default:
			fields = append(fields, fmt.Sprintf("%s=%s", key, fieldText(value)))
		}
	}
	if name != "" {
		fields = append([]string{name}, fields...)
	}
	text := strings.Join(fields, " ")
	if len(text) > maxEventText {
		text = strings.ToValidUTF8(text[:maxEventText], "") + "..."
	}
	return []byte(text)
}

// fieldText is one value: words without quotes, everything else as JSON.
func fieldText(value json.RawMessage) string {
	var word string
	if json.Unmarshal(value, &word) == nil {
		if word == "" || strings.ContainsAny(word, " \t\r\n\"=") {
			return strconv.Quote(word)
		}
		return word
	}
	var list []json.RawMessage
	if json.Unmarshal(value, &list) == nil && len(list) > 1 {
		return fmt.Sprintf("[%d]", len(list))
	}
	var plain bytes.Buffer
	if json.Compact(&plain, value) != nil {
		return string(value)
	}
	return plain.String()
}
