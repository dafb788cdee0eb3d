package control_test

import (
	"context"

	"github.com/bwaklog/meerkat/control"
)

func (f *fake) Dashboard(ctx context.Context) (control.DashboardInfo, error) {
	return control.DashboardInfo{URL: "http://x"}, f.call(ctx, "dashboard")
}

func (f *fake) Logs(ctx context.Context, g func(control.LogLine) error) error {
	if err := g(control.LogLine{Text: "one"}); err != nil {
		return err
	}
	return f.call(ctx, "logs")
}
