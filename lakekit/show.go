package lakekit

import (
	"fmt"
	"html"
	"os"
	"strings"

	"github.com/janpfeifer/gonb/gonbui"
	"github.com/janpfeifer/gonb/gonbui/protocol"
)

// Must returns the value of a call that succeeded. Where it failed, it shows the
// error and ends the cell, or the program, with exit status 1.
func Must[T any](value T, err error) T {
	if err != nil {
		fail(err)
	}
	return value
}

// Show shows values one below the other: as pictures and tables in a notebook,
// as text in a terminal. It takes the results of a call as they are, as in
// lakekit.Show(lab.SQL("select ...")): an error among them, or a failed check,
// is shown and ends the cell with exit status 1.
func Show(values ...any) {
	failed := false
	for _, value := range values {
		switch value := value.(type) {
		case nil:
		case error:
			fail(value)
		default:
			v := viewOf(value)
			display(v)
			failed = failed || v.failed
		}
	}
	if failed {
		end()
	}
}

// Text is what Show prints in a terminal.
func Text(value any) string { return viewOf(value).text }

func display(v view) {
	if !gonbui.IsNotebook {
		fmt.Println(strings.TrimRight(v.text, "\n"))
		return
	}
	gonbui.SendData(&protocol.DisplayData{Data: map[protocol.MIMEType]any{
		protocol.MIMETextHTML:  v.html,
		protocol.MIMETextPlain: v.text,
	}})
	// A cell that ends at once loses what is still in the pipe.
	gonbui.Sync()
}

// fail tells the error to the student and ends the cell.
func fail(err error) {
	if gonbui.IsNotebook {
		display(view{
			html: `<div style="border-left:4px solid #d1495b;padding:.5em .8em;white-space:pre-wrap;font-family:monospace">` +
				html.EscapeString(err.Error()) + `</div>`,
			text: err.Error(),
		})
	}
	fmt.Fprintln(os.Stderr, "error:", err)
	end()
}

// end is os.Exit(1), after what was shown has arrived.
var end = func() {
	if gonbui.IsNotebook {
		gonbui.Sync()
	}
	os.Exit(1)
}
