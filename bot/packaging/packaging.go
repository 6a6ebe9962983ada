// Package packaging holds what the bot is installed with: a systemd unit and a
// Dockerfile. Its tests check both.
package packaging
