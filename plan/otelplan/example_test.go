package otelplan_test

import (
	"context"
	"fmt"
	"log"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/otelplan"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// A run's spans, and a log beside them. The exporter is one in memory; a program
// has its own, otlptracegrpc for example.
func ExampleObserve() {
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))

	p, err := plan.New(plan.Step{ID: "motd/web-1", Host: "web-1", Title: "greet", Action: plan.Deploy{
		Files: []quorate.File{{Path: "/etc/motd", Content: quorate.Public([]byte("welcome\n"))}},
	}})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	hosts := faketransport.New()
	hosts.Host("web-1")
	runner := plan.Runner{
		Transport: hosts,
		Observe:   otelplan.Observe(ctx, provider.Tracer("example"), attribute.String("k8s.cluster.name", "site")),
	}
	if _, err := runner.Run(ctx, p); err != nil {
		log.Fatal(err)
	}
	for _, s := range exporter.GetSpans() {
		fmt.Println(s.Name)
	}
	if err := provider.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// attempt
	// greet
	// quorate run
}
