#!/bin/sh
### BEGIN INIT INFO
# Provides:          tomcat
# Required-Start:    $remote_fs
# Required-Stop:     $remote_fs
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: Tomcat of the Gluu stand-in
### END INIT INFO
export JAVA_HOME=/opt/jdk CATALINA_HOME=/usr/share/tomcat10 CATALINA_BASE=/opt/tomcat JAVA_OPTS=-Xmx64m
pid=/run/tomcat.pid

start() {
    start-stop-daemon --start --oknodo --background --make-pidfile --pidfile "$pid" --chuid tomcat \
        --startas "$CATALINA_HOME/bin/catalina.sh" -- run
}

stop() {
    start-stop-daemon --stop --oknodo --remove-pidfile --pidfile "$pid" --retry 30
}

case "$1" in
    start) start ;;
    stop) stop ;;
    restart) stop && start ;;
    *) exit 3 ;;
esac
