/* SPDX-License-Identifier: Apache-2.0 */
/* Where the parts of sluice are, from the folder of this program: beside it in a build, in libexec
 * and share where it is installed. */
#ifndef SLUICE_CLI_PLACE_H
#define SLUICE_CLI_PLACE_H

/* A path that the caller frees, or NULL: it is not there. */
char *place_program(const char *name);
/* A program that set-up fetched with npm into the build folder. As above. */
char *place_fetched(const char *name);
/* $SLUICE_RUNTIMES, or the folder that belongs to this program. As above. */
char *place_runtimes(void);
/* A folder for what can be made again: $XDG_CACHE_HOME/sluice, ~/.cache/sluice, or one in the
 * temporary folder; made when it is not there. NULL when out of memory. */
char *place_cache(void);
/* A new folder in $TMPDIR or /tmp that the caller removes and frees; NULL with errno. */
char *place_temporary(void);

#endif
