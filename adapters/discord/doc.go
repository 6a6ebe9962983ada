// Package discordchat is Discord as a chat network, on discordgo: slash commands,
// buttons, menus, forms, mentions and direct messages come in by the gateway or by
// signed HTTP; cards go out as embeds that are edited in place.
//
// The library gives the REST API and its types. The gateway is read here, and
// payloads are decoded from their raw form: told to connect anew while it opens a
// connection, the library locks itself for ever; it panics on a component that it
// does not know; it neither resumes where Discord says nor gives up when Discord
// closes for good; and it sleeps where nobody can wake it. Who somebody is comes
// from the user, guild and role ids of the verified payload alone.
package discordchat
