// Package webui is what all web pages of this project share: one look, and
// one set of headers that keeps a page's content its own.
//
// [Assets] serves the style sheet /assets/tokens.css: design tokens (colours,
// type, space; light and dark), plain elements, and the parts that pages are
// made of: masthead, nav, card, badge, table, form, empty state. It has no
// script, no font and no picture, so nothing is loaded from elsewhere.
// [Secure] wraps a whole site. A page brings its own styles in files of its
// own, since inline styles and scripts are refused.
//
// Handlers may be used by any number of goroutines. The package knows no
// product.
package webui
