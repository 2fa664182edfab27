// SPDX-License-Identifier: Apache-2.0
// The newest faas-js-runtime whose `engines` allow this Node.js.
const versions = [
    { node: 22, version: "4.0.1" },
    { node: 20, version: "3.0.2" },
    { node: 16, version: "2.4.0" },
];

export function supportedVersion(node = process.versions.node) {
    const major = Number(node.split(".")[0]);
    const found = versions.find((v) => major >= v.node);
    if (!found) {
        console.error(`Node.js ${node} is too old: faas-js-runtime wants 16 or newer`);
        process.exit(1);
    }
    return found.version;
}
