// Lab is the stack laboratory.
package main
