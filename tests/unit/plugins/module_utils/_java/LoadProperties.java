// Copyright (c) 2026, clusterkit contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

import java.io.BufferedInputStream;
import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.util.Map;
import java.util.Properties;

/** Loads one file after the other from standard input (length, bytes) and says what Java reads in it. */
public final class LoadProperties {
    private LoadProperties() {
    }

    public static void main(String[] arguments) throws IOException {
        DataInputStream in = new DataInputStream(new BufferedInputStream(System.in));
        DataOutputStream out = new DataOutputStream(System.out);
        while (true) {
            byte[] content;
            try {
                content = new byte[in.readInt()];
            } catch (EOFException end) {
                return;
            }
            in.readFully(content);
            Properties properties = new Properties();
            try {
                properties.load(new ByteArrayInputStream(content));
            } catch (IllegalArgumentException malformed) {
                out.writeInt(-1);
                continue;
            }
            out.writeInt(properties.size());
            for (Map.Entry<Object, Object> entry : properties.entrySet()) {
                write(out, (String) entry.getKey());
                write(out, (String) entry.getValue());
            }
        }
    }

    private static void write(DataOutputStream out, String text) throws IOException {
        out.writeInt(text.length());
        out.writeChars(text);
    }
}
