/* SPDX-License-Identifier: Apache-2.0 */
/* What goes into the image of a js or wasm function: the function server with what it needs to run,
 * and the function. */
#ifndef SLUICE_CLI_FUNCTION_IMAGE_H
#define SLUICE_CLI_FUNCTION_IMAGE_H

#include "cli/instance.h"
#include "cli/project.h"
#include "image/image.h"

/* The trees of both layers. 0, or a negative errno with err. */
int function_image_server(const struct project *p, const struct instance_code *code,
                          struct tree *tree, struct error *err);
int function_image_code(const struct instance_code *code, struct tree *tree, struct error *err);
/* "config" of the image: a new object, or NULL. */
json_t *function_image_config(const struct project *p, const struct instance_code *code);
/* As Go calls this machine's: amd64. */
const char *function_image_architecture(void);

#endif
