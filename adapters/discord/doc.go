// Package discordchat is Discord as a chat network, on discordgo: slash commands,
// buttons, menus, forms, mentions and direct messages come in by the gateway or by
// signed HTTP; cards go out as embeds that are edited in place.
//
// Of the library only what was seen to behave is used: one session for one
// connection, and payloads in their raw form, decoded here. Its decoder leaves
// fields empty for a component that it does not know, its reconnecting can lock
// itself for ever, and its waits for rate limits cannot be ended. Who somebody is
// comes from the user, guild and role ids of the verified payload alone.
package discordchat
