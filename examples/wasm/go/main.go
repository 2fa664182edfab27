// SPDX-License-Identifier: Apache-2.0

// A WASI command: reads the event from standard input, writes the reply event to standard output.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

type event struct {
	SpecVersion string         `json:"specversion"`
	ID          string         `json:"id,omitempty"`
	Type        string         `json:"type"`
	Source      string         `json:"source,omitempty"`
	Data        map[string]any `json:"data"`
}

func main() {
	var got event
	if err := json.NewDecoder(os.Stdin).Decode(&got); err != nil {
		fmt.Fprintln(os.Stderr, "this is no event:", err)
		os.Exit(1)
	}
	sum := 0.0
	for _, value := range got.Data {
		if number, ok := value.(float64); ok {
			sum += number
		}
	}
	fmt.Fprintf(os.Stderr, "event %s of type %s\n", os.Getenv("CE_ID"), got.Type)
	_ = json.NewEncoder(os.Stdout).Encode(event{SpecVersion: "1.0", Type: "sum", Data: map[string]any{"sum": sum}})
}
