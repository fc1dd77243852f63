// Package ui is Portmaster's page: the live connections, as they happen.
//
// The page is a thin shell of strict TypeScript in src, without a framework.
// It follows the stream of the API (see package api), keeps the connections
// in a model, and draws only the rows in sight. What is shown came from
// outside (names, domains, command lines) and gets into the page as text only.
//
// The bundles in dist are committed, so that building needs Go alone. After a
// change in src, `go generate` makes them again; a test says when that was
// forgotten. The shared look comes from package webui.
//
// The package serves files. It asks nothing and knows no connection.
package ui

//go:generate go tool -modfile=../../tools/go.mod esbuild app=src/main.ts app=src/app.css --bundle --minify --format=esm --target=es2022 --legal-comments=none --log-level=warning --outdir=dist
