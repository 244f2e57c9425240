// SPDX-License-Identifier: GPL-3.0-or-later
import java.lang.management.ManagementFactory;
import javax.management.ObjectName;

/** A process with an object of JMX, until it is told to end. */
public final class Managed {
    /** The interface of the object. */
    public interface ThingMBean {
        int getSize();

        String[] getNames();

        String getTitle();

        boolean check();

        void fail();

        void shutdown();
    }

    /** The object. */
    public static final class Thing implements ThingMBean {
        @Override
        public int getSize() {
            return 3;
        }

        @Override
        public String[] getNames() {
            return new String[] {"a b", "c"};
        }

        @Override
        public String getTitle() {
            return "\u00fc \n \"x\"";
        }

        @Override
        public boolean check() {
            return true;
        }

        @Override
        public void fail() {
            throw new IllegalStateException("on purpose");
        }

        @Override
        public void shutdown() {
            new Thread(() -> System.exit(0)).start();
        }
    }

    public static void main(String[] none) throws Exception {
        ManagementFactory.getPlatformMBeanServer().registerMBean(new Thing(), new ObjectName("test:type=Thing"));
        System.out.println("ready");
        System.in.read();
    }
}
