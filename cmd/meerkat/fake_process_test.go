package main

import (
	"context"

	"github.com/bwaklog/meerkat/control"
)

func (c canned) Dashboard(context.Context) (control.DashboardInfo, error) {
	return control.DashboardInfo{Schema: control.SchemaDashboard, URL: "http://127.0.0.1:7717/login?code=ABC", Addr: "127.0.0.1:7717", Expires: noon}, nil
}

func (c canned) Logs(_ context.Context, f func(control.LogLine) error) error {
	return f(control.LogLine{Schema: control.SchemaLogLine, Time: noon, Level: "INFO", Text: "peer\x1b[31m"})
}
