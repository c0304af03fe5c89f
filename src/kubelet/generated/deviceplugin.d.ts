// Generated from proto/deviceplugin.v1beta1.proto by scripts/generate-proto.mjs; change that file and run npm run generate.
import * as $protobuf from "protobufjs/minimal.js";

/** Namespace v1beta1. */
export namespace v1beta1 {

    /**
     * Properties of an Empty.
     * @deprecated Use v1beta1.Empty.$Properties instead.
     */
    interface IEmpty extends v1beta1.Empty.$Properties {
    }

    /** Represents an Empty. */
    class Empty {

        /**
         * Constructs a new Empty.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1beta1.Empty.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /**
         * Encodes the specified Empty message. Does not implicitly {@link v1beta1.Empty.verify|verify} messages.
         * @param message Empty message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1beta1.Empty.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes an Empty message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1beta1.Empty & v1beta1.Empty.$Shape} Empty
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1beta1.Empty & v1beta1.Empty.$Shape;
    }

    namespace Empty {

        /** Properties of an Empty. */
        interface $Properties {

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of an Empty. */
        type $Shape = v1beta1.Empty.$Properties;
    }

    /**
     * Properties of a DevicePluginOptions.
     * @deprecated Use v1beta1.DevicePluginOptions.$Properties instead.
     */
    interface IDevicePluginOptions extends v1beta1.DevicePluginOptions.$Properties {
    }

    /** Represents a DevicePluginOptions. */
    class DevicePluginOptions {

        /**
         * Constructs a new DevicePluginOptions.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1beta1.DevicePluginOptions.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** DevicePluginOptions preStartRequired. */
        preStartRequired: boolean;

        /** DevicePluginOptions getPreferredAllocationAvailable. */
        getPreferredAllocationAvailable: boolean;

        /**
         * Encodes the specified DevicePluginOptions message. Does not implicitly {@link v1beta1.DevicePluginOptions.verify|verify} messages.
         * @param message DevicePluginOptions message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1beta1.DevicePluginOptions.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a DevicePluginOptions message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1beta1.DevicePluginOptions & v1beta1.DevicePluginOptions.$Shape} DevicePluginOptions
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1beta1.DevicePluginOptions & v1beta1.DevicePluginOptions.$Shape;
    }

    namespace DevicePluginOptions {

        /** Properties of a DevicePluginOptions. */
        interface $Properties {

            /** DevicePluginOptions preStartRequired */
            preStartRequired?: (boolean|null);

            /** DevicePluginOptions getPreferredAllocationAvailable */
            getPreferredAllocationAvailable?: (boolean|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a DevicePluginOptions. */
        type $Shape = v1beta1.DevicePluginOptions.$Properties;
    }

    /**
     * Properties of a RegisterRequest.
     * @deprecated Use v1beta1.RegisterRequest.$Properties instead.
     */
    interface IRegisterRequest extends v1beta1.RegisterRequest.$Properties {
    }

    /** Represents a RegisterRequest. */
    class RegisterRequest {

        /**
         * Constructs a new RegisterRequest.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1beta1.RegisterRequest.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** RegisterRequest version. */
        version: string;

        /** RegisterRequest endpoint. */
        endpoint: string;

        /** RegisterRequest resourceName. */
        resourceName: string;

        /** RegisterRequest options. */
        options?: (v1beta1.DevicePluginOptions.$Properties|null);

        /**
         * Encodes the specified RegisterRequest message. Does not implicitly {@link v1beta1.RegisterRequest.verify|verify} messages.
         * @param message RegisterRequest message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1beta1.RegisterRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a RegisterRequest message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1beta1.RegisterRequest & v1beta1.RegisterRequest.$Shape} RegisterRequest
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1beta1.RegisterRequest & v1beta1.RegisterRequest.$Shape;
    }

    namespace RegisterRequest {

        /** Properties of a RegisterRequest. */
        interface $Properties {

            /** RegisterRequest version */
            version?: (string|null);

            /** RegisterRequest endpoint */
            endpoint?: (string|null);

            /** RegisterRequest resourceName */
            resourceName?: (string|null);

            /** RegisterRequest options */
            options?: (v1beta1.DevicePluginOptions.$Properties|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a RegisterRequest. */
        type $Shape = v1beta1.RegisterRequest.$Properties;
    }

    /**
     * Properties of a ListAndWatchResponse.
     * @deprecated Use v1beta1.ListAndWatchResponse.$Properties instead.
     */
    interface IListAndWatchResponse extends v1beta1.ListAndWatchResponse.$Properties {
    }

    /** Represents a ListAndWatchResponse. */
    class ListAndWatchResponse {

        /**
         * Constructs a new ListAndWatchResponse.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1beta1.ListAndWatchResponse.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** ListAndWatchResponse devices. */
        devices: v1beta1.Device.$Properties[];

        /**
         * Encodes the specified ListAndWatchResponse message. Does not implicitly {@link v1beta1.ListAndWatchResponse.verify|verify} messages.
         * @param message ListAndWatchResponse message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1beta1.ListAndWatchResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a ListAndWatchResponse message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1beta1.ListAndWatchResponse & v1beta1.ListAndWatchResponse.$Shape} ListAndWatchResponse
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1beta1.ListAndWatchResponse & v1beta1.ListAndWatchResponse.$Shape;
    }

    namespace ListAndWatchResponse {

        /** Properties of a ListAndWatchResponse. */
        interface $Properties {

            /** ListAndWatchResponse devices */
            devices?: (v1beta1.Device.$Properties[]|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a ListAndWatchResponse. */
        type $Shape = v1beta1.ListAndWatchResponse.$Properties;
    }

    /**
     * Properties of a Device.
     * @deprecated Use v1beta1.Device.$Properties instead.
     */
    interface IDevice extends v1beta1.Device.$Properties {
    }

    /** Represents a Device. */
    class Device {

        /**
         * Constructs a new Device.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1beta1.Device.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** Device ID. */
        ID: string;

        /** Device health. */
        health: string;

        /** Device topology. */
        topology?: (v1beta1.TopologyInfo.$Properties|null);

        /**
         * Encodes the specified Device message. Does not implicitly {@link v1beta1.Device.verify|verify} messages.
         * @param message Device message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1beta1.Device.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a Device message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1beta1.Device & v1beta1.Device.$Shape} Device
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1beta1.Device & v1beta1.Device.$Shape;
    }

    namespace Device {

        /** Properties of a Device. */
        interface $Properties {

            /** Device ID */
            ID?: (string|null);

            /** Device health */
            health?: (string|null);

            /** Device topology */
            topology?: (v1beta1.TopologyInfo.$Properties|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a Device. */
        type $Shape = v1beta1.Device.$Properties;
    }

    /**
     * Properties of a TopologyInfo.
     * @deprecated Use v1beta1.TopologyInfo.$Properties instead.
     */
    interface ITopologyInfo extends v1beta1.TopologyInfo.$Properties {
    }

    /** Represents a TopologyInfo. */
    class TopologyInfo {

        /**
         * Constructs a new TopologyInfo.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1beta1.TopologyInfo.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** TopologyInfo nodes. */
        nodes: v1beta1.NUMANode.$Properties[];

        /**
         * Encodes the specified TopologyInfo message. Does not implicitly {@link v1beta1.TopologyInfo.verify|verify} messages.
         * @param message TopologyInfo message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1beta1.TopologyInfo.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a TopologyInfo message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1beta1.TopologyInfo & v1beta1.TopologyInfo.$Shape} TopologyInfo
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1beta1.TopologyInfo & v1beta1.TopologyInfo.$Shape;
    }

    namespace TopologyInfo {

        /** Properties of a TopologyInfo. */
        interface $Properties {

            /** TopologyInfo nodes */
            nodes?: (v1beta1.NUMANode.$Properties[]|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a TopologyInfo. */
        type $Shape = v1beta1.TopologyInfo.$Properties;
    }

    /**
     * Properties of a NUMANode.
     * @deprecated Use v1beta1.NUMANode.$Properties instead.
     */
    interface INUMANode extends v1beta1.NUMANode.$Properties {
    }

    /** Represents a NUMANode. */
    class NUMANode {

        /**
         * Constructs a new NUMANode.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1beta1.NUMANode.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** NUMANode ID. */
        ID: number;

        /**
         * Encodes the specified NUMANode message. Does not implicitly {@link v1beta1.NUMANode.verify|verify} messages.
         * @param message NUMANode message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1beta1.NUMANode.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a NUMANode message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1beta1.NUMANode & v1beta1.NUMANode.$Shape} NUMANode
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1beta1.NUMANode & v1beta1.NUMANode.$Shape;
    }

    namespace NUMANode {

        /** Properties of a NUMANode. */
        interface $Properties {

            /** NUMANode ID */
            ID?: (number|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a NUMANode. */
        type $Shape = v1beta1.NUMANode.$Properties;
    }

    /**
     * Properties of a PreferredAllocationRequest.
     * @deprecated Use v1beta1.PreferredAllocationRequest.$Properties instead.
     */
    interface IPreferredAllocationRequest extends v1beta1.PreferredAllocationRequest.$Properties {
    }

    /** Represents a PreferredAllocationRequest. */
    class PreferredAllocationRequest {

        /**
         * Constructs a new PreferredAllocationRequest.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1beta1.PreferredAllocationRequest.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** PreferredAllocationRequest containerRequests. */
        containerRequests: v1beta1.ContainerPreferredAllocationRequest.$Properties[];

        /**
         * Encodes the specified PreferredAllocationRequest message. Does not implicitly {@link v1beta1.PreferredAllocationRequest.verify|verify} messages.
         * @param message PreferredAllocationRequest message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1beta1.PreferredAllocationRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a PreferredAllocationRequest message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1beta1.PreferredAllocationRequest & v1beta1.PreferredAllocationRequest.$Shape} PreferredAllocationRequest
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1beta1.PreferredAllocationRequest & v1beta1.PreferredAllocationRequest.$Shape;
    }

    namespace PreferredAllocationRequest {

        /** Properties of a PreferredAllocationRequest. */
        interface $Properties {

            /** PreferredAllocationRequest containerRequests */
            containerRequests?: (v1beta1.ContainerPreferredAllocationRequest.$Properties[]|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a PreferredAllocationRequest. */
        type $Shape = v1beta1.PreferredAllocationRequest.$Properties;
    }

    /**
     * Properties of a ContainerPreferredAllocationRequest.
     * @deprecated Use v1beta1.ContainerPreferredAllocationRequest.$Properties instead.
     */
    interface IContainerPreferredAllocationRequest extends v1beta1.ContainerPreferredAllocationRequest.$Properties {
    }

    /** Represents a ContainerPreferredAllocationRequest. */
    class ContainerPreferredAllocationRequest {

        /**
         * Constructs a new ContainerPreferredAllocationRequest.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1beta1.ContainerPreferredAllocationRequest.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** ContainerPreferredAllocationRequest availableDeviceIDs. */
        availableDeviceIDs: string[];

        /** ContainerPreferredAllocationRequest mustIncludeDeviceIDs. */
        mustIncludeDeviceIDs: string[];

        /** ContainerPreferredAllocationRequest allocationSize. */
        allocationSize: number;

        /**
         * Encodes the specified ContainerPreferredAllocationRequest message. Does not implicitly {@link v1beta1.ContainerPreferredAllocationRequest.verify|verify} messages.
         * @param message ContainerPreferredAllocationRequest message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1beta1.ContainerPreferredAllocationRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a ContainerPreferredAllocationRequest message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1beta1.ContainerPreferredAllocationRequest & v1beta1.ContainerPreferredAllocationRequest.$Shape} ContainerPreferredAllocationRequest
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1beta1.ContainerPreferredAllocationRequest & v1beta1.ContainerPreferredAllocationRequest.$Shape;
    }

    namespace ContainerPreferredAllocationRequest {

        /** Properties of a ContainerPreferredAllocationRequest. */
        interface $Properties {

            /** ContainerPreferredAllocationRequest availableDeviceIDs */
            availableDeviceIDs?: (string[]|null);

            /** ContainerPreferredAllocationRequest mustIncludeDeviceIDs */
            mustIncludeDeviceIDs?: (string[]|null);

            /** ContainerPreferredAllocationRequest allocationSize */
            allocationSize?: (number|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a ContainerPreferredAllocationRequest. */
        type $Shape = v1beta1.ContainerPreferredAllocationRequest.$Properties;
    }

    /**
     * Properties of a PreferredAllocationResponse.
     * @deprecated Use v1beta1.PreferredAllocationResponse.$Properties instead.
     */
    interface IPreferredAllocationResponse extends v1beta1.PreferredAllocationResponse.$Properties {
    }

    /** Represents a PreferredAllocationResponse. */
    class PreferredAllocationResponse {

        /**
         * Constructs a new PreferredAllocationResponse.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1beta1.PreferredAllocationResponse.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** PreferredAllocationResponse containerResponses. */
        containerResponses: v1beta1.ContainerPreferredAllocationResponse.$Properties[];

        /**
         * Encodes the specified PreferredAllocationResponse message. Does not implicitly {@link v1beta1.PreferredAllocationResponse.verify|verify} messages.
         * @param message PreferredAllocationResponse message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1beta1.PreferredAllocationResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a PreferredAllocationResponse message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1beta1.PreferredAllocationResponse & v1beta1.PreferredAllocationResponse.$Shape} PreferredAllocationResponse
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1beta1.PreferredAllocationResponse & v1beta1.PreferredAllocationResponse.$Shape;
    }

    namespace PreferredAllocationResponse {

        /** Properties of a PreferredAllocationResponse. */
        interface $Properties {

            /** PreferredAllocationResponse containerResponses */
            containerResponses?: (v1beta1.ContainerPreferredAllocationResponse.$Properties[]|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a PreferredAllocationResponse. */
        type $Shape = v1beta1.PreferredAllocationResponse.$Properties;
    }

    /**
     * Properties of a ContainerPreferredAllocationResponse.
     * @deprecated Use v1beta1.ContainerPreferredAllocationResponse.$Properties instead.
     */
    interface IContainerPreferredAllocationResponse extends v1beta1.ContainerPreferredAllocationResponse.$Properties {
    }

    /** Represents a ContainerPreferredAllocationResponse. */
    class ContainerPreferredAllocationResponse {

        /**
         * Constructs a new ContainerPreferredAllocationResponse.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1beta1.ContainerPreferredAllocationResponse.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** ContainerPreferredAllocationResponse deviceIDs. */
        deviceIDs: string[];

        /**
         * Encodes the specified ContainerPreferredAllocationResponse message. Does not implicitly {@link v1beta1.ContainerPreferredAllocationResponse.verify|verify} messages.
         * @param message ContainerPreferredAllocationResponse message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1beta1.ContainerPreferredAllocationResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a ContainerPreferredAllocationResponse message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1beta1.ContainerPreferredAllocationResponse & v1beta1.ContainerPreferredAllocationResponse.$Shape} ContainerPreferredAllocationResponse
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1beta1.ContainerPreferredAllocationResponse & v1beta1.ContainerPreferredAllocationResponse.$Shape;
    }

    namespace ContainerPreferredAllocationResponse {

        /** Properties of a ContainerPreferredAllocationResponse. */
        interface $Properties {

            /** ContainerPreferredAllocationResponse deviceIDs */
            deviceIDs?: (string[]|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a ContainerPreferredAllocationResponse. */
        type $Shape = v1beta1.ContainerPreferredAllocationResponse.$Properties;
    }

    /**
     * Properties of an AllocateRequest.
     * @deprecated Use v1beta1.AllocateRequest.$Properties instead.
     */
    interface IAllocateRequest extends v1beta1.AllocateRequest.$Properties {
    }

    /** Represents an AllocateRequest. */
    class AllocateRequest {

        /**
         * Constructs a new AllocateRequest.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1beta1.AllocateRequest.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** AllocateRequest containerRequests. */
        containerRequests: v1beta1.ContainerAllocateRequest.$Properties[];

        /**
         * Encodes the specified AllocateRequest message. Does not implicitly {@link v1beta1.AllocateRequest.verify|verify} messages.
         * @param message AllocateRequest message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1beta1.AllocateRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes an AllocateRequest message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1beta1.AllocateRequest & v1beta1.AllocateRequest.$Shape} AllocateRequest
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1beta1.AllocateRequest & v1beta1.AllocateRequest.$Shape;
    }

    namespace AllocateRequest {

        /** Properties of an AllocateRequest. */
        interface $Properties {

            /** AllocateRequest containerRequests */
            containerRequests?: (v1beta1.ContainerAllocateRequest.$Properties[]|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of an AllocateRequest. */
        type $Shape = v1beta1.AllocateRequest.$Properties;
    }

    /**
     * Properties of a ContainerAllocateRequest.
     * @deprecated Use v1beta1.ContainerAllocateRequest.$Properties instead.
     */
    interface IContainerAllocateRequest extends v1beta1.ContainerAllocateRequest.$Properties {
    }

    /** Represents a ContainerAllocateRequest. */
    class ContainerAllocateRequest {

        /**
         * Constructs a new ContainerAllocateRequest.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1beta1.ContainerAllocateRequest.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** ContainerAllocateRequest devicesIds. */
        devicesIds: string[];

        /**
         * Encodes the specified ContainerAllocateRequest message. Does not implicitly {@link v1beta1.ContainerAllocateRequest.verify|verify} messages.
         * @param message ContainerAllocateRequest message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1beta1.ContainerAllocateRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a ContainerAllocateRequest message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1beta1.ContainerAllocateRequest & v1beta1.ContainerAllocateRequest.$Shape} ContainerAllocateRequest
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1beta1.ContainerAllocateRequest & v1beta1.ContainerAllocateRequest.$Shape;
    }

    namespace ContainerAllocateRequest {

        /** Properties of a ContainerAllocateRequest. */
        interface $Properties {

            /** ContainerAllocateRequest devicesIds */
            devicesIds?: (string[]|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a ContainerAllocateRequest. */
        type $Shape = v1beta1.ContainerAllocateRequest.$Properties;
    }

    /**
     * Properties of an AllocateResponse.
     * @deprecated Use v1beta1.AllocateResponse.$Properties instead.
     */
    interface IAllocateResponse extends v1beta1.AllocateResponse.$Properties {
    }

    /** Represents an AllocateResponse. */
    class AllocateResponse {

        /**
         * Constructs a new AllocateResponse.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1beta1.AllocateResponse.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** AllocateResponse containerResponses. */
        containerResponses: v1beta1.ContainerAllocateResponse.$Properties[];

        /**
         * Encodes the specified AllocateResponse message. Does not implicitly {@link v1beta1.AllocateResponse.verify|verify} messages.
         * @param message AllocateResponse message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1beta1.AllocateResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes an AllocateResponse message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1beta1.AllocateResponse & v1beta1.AllocateResponse.$Shape} AllocateResponse
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1beta1.AllocateResponse & v1beta1.AllocateResponse.$Shape;
    }

    namespace AllocateResponse {

        /** Properties of an AllocateResponse. */
        interface $Properties {

            /** AllocateResponse containerResponses */
            containerResponses?: (v1beta1.ContainerAllocateResponse.$Properties[]|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of an AllocateResponse. */
        type $Shape = v1beta1.AllocateResponse.$Properties;
    }

    /**
     * Properties of a ContainerAllocateResponse.
     * @deprecated Use v1beta1.ContainerAllocateResponse.$Properties instead.
     */
    interface IContainerAllocateResponse extends v1beta1.ContainerAllocateResponse.$Properties {
    }

    /** Represents a ContainerAllocateResponse. */
    class ContainerAllocateResponse {

        /**
         * Constructs a new ContainerAllocateResponse.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1beta1.ContainerAllocateResponse.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** ContainerAllocateResponse envs. */
        envs: { [k: string]: string };

        /** ContainerAllocateResponse mounts. */
        mounts: v1beta1.Mount.$Properties[];

        /** ContainerAllocateResponse devices. */
        devices: v1beta1.DeviceSpec.$Properties[];

        /** ContainerAllocateResponse annotations. */
        annotations: { [k: string]: string };

        /** ContainerAllocateResponse cdiDevices. */
        cdiDevices: v1beta1.CDIDevice.$Properties[];

        /**
         * Encodes the specified ContainerAllocateResponse message. Does not implicitly {@link v1beta1.ContainerAllocateResponse.verify|verify} messages.
         * @param message ContainerAllocateResponse message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1beta1.ContainerAllocateResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a ContainerAllocateResponse message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1beta1.ContainerAllocateResponse & v1beta1.ContainerAllocateResponse.$Shape} ContainerAllocateResponse
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1beta1.ContainerAllocateResponse & v1beta1.ContainerAllocateResponse.$Shape;
    }

    namespace ContainerAllocateResponse {

        /** Properties of a ContainerAllocateResponse. */
        interface $Properties {

            /** ContainerAllocateResponse envs */
            envs?: ({ [k: string]: string }|null);

            /** ContainerAllocateResponse mounts */
            mounts?: (v1beta1.Mount.$Properties[]|null);

            /** ContainerAllocateResponse devices */
            devices?: (v1beta1.DeviceSpec.$Properties[]|null);

            /** ContainerAllocateResponse annotations */
            annotations?: ({ [k: string]: string }|null);

            /** ContainerAllocateResponse cdiDevices */
            cdiDevices?: (v1beta1.CDIDevice.$Properties[]|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a ContainerAllocateResponse. */
        type $Shape = v1beta1.ContainerAllocateResponse.$Properties;
    }

    /**
     * Properties of a Mount.
     * @deprecated Use v1beta1.Mount.$Properties instead.
     */
    interface IMount extends v1beta1.Mount.$Properties {
    }

    /** Represents a Mount. */
    class Mount {

        /**
         * Constructs a new Mount.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1beta1.Mount.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** Mount containerPath. */
        containerPath: string;

        /** Mount hostPath. */
        hostPath: string;

        /** Mount readOnly. */
        readOnly: boolean;

        /**
         * Encodes the specified Mount message. Does not implicitly {@link v1beta1.Mount.verify|verify} messages.
         * @param message Mount message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1beta1.Mount.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a Mount message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1beta1.Mount & v1beta1.Mount.$Shape} Mount
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1beta1.Mount & v1beta1.Mount.$Shape;
    }

    namespace Mount {

        /** Properties of a Mount. */
        interface $Properties {

            /** Mount containerPath */
            containerPath?: (string|null);

            /** Mount hostPath */
            hostPath?: (string|null);

            /** Mount readOnly */
            readOnly?: (boolean|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a Mount. */
        type $Shape = v1beta1.Mount.$Properties;
    }

    /**
     * Properties of a DeviceSpec.
     * @deprecated Use v1beta1.DeviceSpec.$Properties instead.
     */
    interface IDeviceSpec extends v1beta1.DeviceSpec.$Properties {
    }

    /** Represents a DeviceSpec. */
    class DeviceSpec {

        /**
         * Constructs a new DeviceSpec.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1beta1.DeviceSpec.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** DeviceSpec containerPath. */
        containerPath: string;

        /** DeviceSpec hostPath. */
        hostPath: string;

        /** DeviceSpec permissions. */
        permissions: string;

        /**
         * Encodes the specified DeviceSpec message. Does not implicitly {@link v1beta1.DeviceSpec.verify|verify} messages.
         * @param message DeviceSpec message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1beta1.DeviceSpec.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a DeviceSpec message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1beta1.DeviceSpec & v1beta1.DeviceSpec.$Shape} DeviceSpec
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1beta1.DeviceSpec & v1beta1.DeviceSpec.$Shape;
    }

    namespace DeviceSpec {

        /** Properties of a DeviceSpec. */
        interface $Properties {

            /** DeviceSpec containerPath */
            containerPath?: (string|null);

            /** DeviceSpec hostPath */
            hostPath?: (string|null);

            /** DeviceSpec permissions */
            permissions?: (string|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a DeviceSpec. */
        type $Shape = v1beta1.DeviceSpec.$Properties;
    }

    /**
     * Properties of a CDIDevice.
     * @deprecated Use v1beta1.CDIDevice.$Properties instead.
     */
    interface ICDIDevice extends v1beta1.CDIDevice.$Properties {
    }

    /** Represents a CDIDevice. */
    class CDIDevice {

        /**
         * Constructs a new CDIDevice.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1beta1.CDIDevice.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** CDIDevice name. */
        name: string;

        /**
         * Encodes the specified CDIDevice message. Does not implicitly {@link v1beta1.CDIDevice.verify|verify} messages.
         * @param message CDIDevice message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1beta1.CDIDevice.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a CDIDevice message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1beta1.CDIDevice & v1beta1.CDIDevice.$Shape} CDIDevice
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1beta1.CDIDevice & v1beta1.CDIDevice.$Shape;
    }

    namespace CDIDevice {

        /** Properties of a CDIDevice. */
        interface $Properties {

            /** CDIDevice name */
            name?: (string|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a CDIDevice. */
        type $Shape = v1beta1.CDIDevice.$Properties;
    }

    /**
     * Properties of a PreStartContainerRequest.
     * @deprecated Use v1beta1.PreStartContainerRequest.$Properties instead.
     */
    interface IPreStartContainerRequest extends v1beta1.PreStartContainerRequest.$Properties {
    }

    /** Represents a PreStartContainerRequest. */
    class PreStartContainerRequest {

        /**
         * Constructs a new PreStartContainerRequest.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1beta1.PreStartContainerRequest.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** PreStartContainerRequest devicesIds. */
        devicesIds: string[];

        /**
         * Encodes the specified PreStartContainerRequest message. Does not implicitly {@link v1beta1.PreStartContainerRequest.verify|verify} messages.
         * @param message PreStartContainerRequest message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1beta1.PreStartContainerRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a PreStartContainerRequest message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1beta1.PreStartContainerRequest & v1beta1.PreStartContainerRequest.$Shape} PreStartContainerRequest
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1beta1.PreStartContainerRequest & v1beta1.PreStartContainerRequest.$Shape;
    }

    namespace PreStartContainerRequest {

        /** Properties of a PreStartContainerRequest. */
        interface $Properties {

            /** PreStartContainerRequest devicesIds */
            devicesIds?: (string[]|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a PreStartContainerRequest. */
        type $Shape = v1beta1.PreStartContainerRequest.$Properties;
    }

    /**
     * Properties of a PreStartContainerResponse.
     * @deprecated Use v1beta1.PreStartContainerResponse.$Properties instead.
     */
    interface IPreStartContainerResponse extends v1beta1.PreStartContainerResponse.$Properties {
    }

    /** Represents a PreStartContainerResponse. */
    class PreStartContainerResponse {

        /**
         * Constructs a new PreStartContainerResponse.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1beta1.PreStartContainerResponse.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /**
         * Encodes the specified PreStartContainerResponse message. Does not implicitly {@link v1beta1.PreStartContainerResponse.verify|verify} messages.
         * @param message PreStartContainerResponse message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1beta1.PreStartContainerResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a PreStartContainerResponse message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1beta1.PreStartContainerResponse & v1beta1.PreStartContainerResponse.$Shape} PreStartContainerResponse
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1beta1.PreStartContainerResponse & v1beta1.PreStartContainerResponse.$Shape;
    }

    namespace PreStartContainerResponse {

        /** Properties of a PreStartContainerResponse. */
        interface $Properties {

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a PreStartContainerResponse. */
        type $Shape = v1beta1.PreStartContainerResponse.$Properties;
    }
}
